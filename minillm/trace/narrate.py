"""Narration: what one step did, in a sentence or two.

The wording is in the catalogues (minillm/messages/*/narration.json), the choice of sentence here.
The stage says the same in JavaScript (minillm/stage/js/narration.js); tests/trace compares the
two word for word. The rules:

* The most important fact leads: a refusal, a preemption, a stall, a prefix-cache hit, dead slots.
  A second sentence adds what the batch is made of, or who waits and why. Never a third.
* Where nothing stands out, the batch comes first, then a wait, a finish or a first token.
* Requests are badges. Counts up to twelve that begin an English sentence are words.
* A wait names the holder of most of what is missing only if it holds more than half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minillm.events import (
    Admitted,
    Copied,
    Finished,
    Forked,
    Preempted,
    Rejected,
    Step,
    SwappedIn,
    SwappedOut,
    Wait,
    WaitReason,
)
from minillm.messages import DEFAULT, Part, say, tell
from minillm.trace.fold import State
from minillm.trace.records import Header

Parts = list[Part]

_STALLS = (WaitReason.TOKEN_BUDGET, WaitReason.NO_KV_BLOCKS, WaitReason.LOWER_PRIORITY)
"""What a stall may be for, besides a step that only prefills."""


def narrate(
    before: State, step: Step, after: State, header: Header, language: str = DEFAULT
) -> Parts:
    """What `step` did, as texts and badges in order. `before` and `after` are the states around
    it: `trace.state_at(n - 1)` and `trace.state_at(n)`."""
    view = _View(before, step, after, header, language)
    weight, event = _event(view)
    batch = _batch(view)
    wait = _wait(view)
    if weight == 5:
        sentences = [event, wait]
    elif weight >= 2:
        sentences = [event, wait if wait and weight < 4 else batch]
    elif event and not wait:
        sentences = [batch, event]
    else:
        sentences = [batch, wait]
    told = [_capital(sentence) for sentence in sentences if sentence]
    if len(told) == 2:
        return view.tell("two", first=told[0], second=told[1])
    return told[0] if told else []


def sentence(
    before: State, step: Step, after: State, header: Header, language: str = DEFAULT
) -> str:
    """The same as plain text."""
    parts = narrate(before, step, after, header, language)
    return "".join(part.get("text", "") + part.get("id", "") for part in parts)


@dataclass(frozen=True, slots=True)
class _Prefill:
    id: str
    tokens: int
    of: int  # tokens to compute in all, before the next sample
    ends: bool  # these are the last of them
    first: bool  # and it samples its first token


class _View:
    """One step, arranged for telling."""

    def __init__(
        self, before: State, step: Step, after: State, header: Header, language: str
    ) -> None:
        self.before, self.step, self.after, self.header = before, step, after, header
        self.language = language
        self.numbers = say(language, "narration.numbers").split()
        self.events = (*step.events, *step.after)
        self.waits = after.waits_by_sequence()
        self.decodes = [id for id, _, kind in after.batch if kind == "decode"]
        self.dead = [id for id, _, kind in after.batch if kind == "dead"]
        self.prefills = [self._prefill(id, n) for id, n, kind in after.batch if kind == "prefill"]
        in_batch = {row[0] for row in after.batch}
        self.stalled = [
            id
            for id, s in after.running.items()
            if id not in in_batch and id not in after.born and s.phase != "done"
        ]

    def tell(self, name: str, **values: Any) -> Parts:
        """The text `name` of the catalogue; a value may be parts."""
        return tell(self.language, f"narration.{name}", **values)

    def word(self, n: int) -> str:
        """A count as a sentence begins with it."""
        return self.numbers[n] if n < len(self.numbers) else f"{n:,}"

    def badges(self, ids: Sequence[str], most: int = 3) -> Parts:
        """Up to `most` badges, then how many more; one more than `most` is still spelled out."""
        shown = ids if len(ids) <= most + 1 else ids[:most]
        left = len(ids) - len(shown)
        told = _badge(shown[0])
        for i, id in enumerate(shown[1:], 2):
            join = "and" if i == len(ids) else "next"
            told = self.tell(join, first=told, next=_badge(id))
        return self.tell("more", first=told, more=self.word(left)) if left else told

    def length(self, id: str) -> int:
        """Tokens of a sequence as the step began: prompt, and what it had generated."""
        known = self.before.sequences.get(id)
        return self.after.sequences[id].prompt_len + (known.outputs if known else 0)

    def _prefill(self, id: str, tokens: int) -> _Prefill:
        known, now = self.before.sequences.get(id), self.after.sequences[id]
        ends = now.phase != "prefill"
        first = ends and (known is None or known.first_token_at is None)
        return _Prefill(id, tokens, self.length(id), ends, first)


def _event(view: _View) -> tuple[int, Parts]:
    """The event that stands out and its weight: from 2 it leads; 4 says why some wait, 5 what
    the batch is made of, and neither is repeated."""
    for event in view.events:
        if isinstance(event, Rejected):
            return 3, view.tell("rejected", who=_badge(event.id), message=event.message)
    lost = [e for e in view.events if isinstance(e, Preempted) and e.id not in view.after.born]
    if lost:
        return 4, _preemption(view, lost)
    back = [event for event in view.events if isinstance(event, SwappedIn)]
    if back:
        return 2, _coming_back(view, back)
    if view.stalled:
        return _stall(view)
    hits = [e for e in view.events if isinstance(e, Admitted) and e.cached_tokens > 0]
    if hits:
        hit = max(hits, key=lambda event: event.cached_tokens)
        found = {"cached": hit.cached_tokens, "of": view.length(hit.id)}
        return 2, view.tell("finds", who=_badge(hit.id), **found)
    forks = [event for event in view.events if isinstance(event, Forked)]
    if forks:
        return 2, _fork(view, forks)
    if view.dead:
        return (2 if len(view.dead) >= len(view.decodes) else 1), _dead_slots(view)
    gone = [event for event in view.events if isinstance(event, Finished)]
    if gone:
        return 1, _finish(view, gone)
    writers = [event.id for event in view.events if isinstance(event, Copied)]
    if writers:
        return 1, view.tell("copies", n=len(writers), who=view.badges(writers))
    first = [row.id for row in view.prefills if row.first]
    if first:
        return 1, view.tell("first_token", n=len(first), who=view.badges(first))
    return 0, []


def _preemption(view: _View, lost: Sequence[Preempted]) -> Parts:
    saved = {event.id: event for event in view.events if isinstance(event, SwappedOut)}
    known = [view.before.sequences.get(event.id) for event in lost if event.id not in saved]
    tokens = sum(s.computed for s in known if s is not None)
    if saved and not tokens:
        cost = _swapped(view, sum(len(event.copies) for event in saved.values()), "swap_out")
    else:
        cost = view.tell("again", n=tokens)
    if len(lost) > 1:
        who = view.badges([event.id for event in lost])
        return view.tell("clause", first=view.tell("preempted", who=who), second=cost)
    (event,) = lost
    who = _badge(event.id)
    if event.by is None:
        told = view.tell("preempted_freeing", who=who)
    elif event.by == event.id:
        told = view.tell("preempted_itself", who=who)
    else:
        told = view.tell("preempted_for", who=who, by=_badge(event.by))
    if saved or tokens:
        return view.tell("clause", first=told, second=cost)
    return view.tell("end", words=told)


def _coming_back(view: _View, back: Sequence[SwappedIn]) -> Parts:
    told = view.tell("returns", n=len(back), who=view.badges([event.id for event in back]))
    blocks = sum(len(event.copies) for event in back)
    if not blocks:
        return view.tell("end", words=told)
    return view.tell("returns_moving", returns=told, move=_swapped(view, blocks, "swap_in"))


def _swapped(view: _View, blocks: int, way: str) -> Parts:
    """How much moves to or from CPU memory, and how long the step waited for it."""
    if not blocks:
        return view.tell("saved")
    size = blocks * view.header.block_size * view.header.kv_bytes_per_token
    wait = view.step.transfer
    return view.tell(
        way,
        n=blocks,
        size=view.tell("size", mb=_tenths(size, 1_000_000)) if size else "",
        time=view.tell("time", ms=_tenths(wait, 1_000_000)) if wait else "",
    )


def _fork(view: _View, forks: Sequence[Forked]) -> Parts:
    children = [event.child for event in forks]
    parents = view.badges(list(dict.fromkeys(event.id for event in forks)))
    outside = [event.id for event in view.step.after if isinstance(event, Preempted)]
    shared = len({b for event in forks if event.child not in outside for b in event.blocks})
    told = view.tell("forks", n=len(children), children=view.badges(children), parents=parents)
    if shared:
        blocks = view.tell("blocks", n=shared)
        told = view.tell("forks_sharing", n=len(children), forks=told, blocks=blocks)
    if outside:
        return view.tell("forks_outside", first=told, outside=view.badges(outside))
    return view.tell("end", words=told)


def _stall(view: _View) -> tuple[int, Parts]:
    stalled, prefills = view.stalled, view.prefills
    count = len(stalled)
    told = view.tell("stalls", n=count, count=view.word(count), who=_badge(stalled[0]))
    wait = view.waits.get(stalled[0])
    reason = wait.reason if wait else None
    if reason == WaitReason.PREFILL_IN_PROGRESS and prefills:
        who = view.badges([row.id for row in prefills])
        tokens = view.tell("tokens", n=sum(row.tokens for row in prefills))
        behind = {"stalls": told, "who": who, "tokens": tokens}
        return 5, view.tell("stalls_behind", n=len(prefills), **behind)
    if reason in _STALLS:
        return 2, view.tell(f"stalls_{reason}", stalls=told)
    return 2, view.tell("end", words=told)


def _dead_slots(view: _View) -> Parts:
    n, live = len(view.dead), view.decodes
    told = view.tell("dead", n=n, count=view.word(n), who=view.badges(view.dead))
    if live:
        return view.tell("dead_until", n=len(live), dead=told, who=view.badges(live, 2))
    return view.tell("end", words=told)


def _finish(view: _View, gone: Sequence[Finished]) -> Parts:
    if len(gone) > 1:
        return view.tell("finish", who=view.badges([event.id for event in gone]))
    (event,) = gone
    how = {"abort": "aborted", "error": "fails"}.get(event.reason, "finishes")
    tokens = view.tell("tokens", n=view.after.sequences[event.id].outputs)
    return view.tell(how, who=_badge(event.id), tokens=tokens)


def _batch(view: _View) -> Parts:
    count, budget = len(view.decodes), view.header.max_num_batched_tokens
    prefill = _prefilling(view)
    if not count:
        return view.tell("alone", prefill=prefill, budget=budget) if prefill else []
    told = view.tell("decodes", n=count, count=view.word(count), budget=budget)
    if prefill:
        return view.tell("clause", first=told, second=prefill)
    return view.tell("end", words=told)


def _prefilling(view: _View) -> Parts:
    if not view.prefills:
        return []
    row = view.prefills[0]
    if len(view.prefills) > 1:
        tokens = view.tell("tokens", n=sum(each.tokens for each in view.prefills))
        who = view.badges([each.id for each in view.prefills])
        return view.tell("prefill", who=who, tokens=tokens)
    if row.tokens == row.of:
        return view.tell("prefill_all", who=_badge(row.id), tokens=view.tell("tokens", n=row.of))
    part = "prefill_last" if row.ends else "prefill_some"
    return view.tell(part, who=_badge(row.id), n=row.tokens, of=row.of)


def _wait(view: _View) -> Parts:
    """Why the first in the queue waits; all who lack the same thing are named together."""
    waiting = [id for id in view.waits if id in view.after.waiting]
    if not waiting:
        return []
    wait = view.waits[waiting[0]]
    alike = [id for id in waiting if view.waits[id].reason == wait.reason]
    if len(alike) <= 3:
        told = view.tell("waits", n=len(alike), who=view.badges(alike))
    else:
        told = view.tell("many_wait", count=view.word(len(alike)))
    return _why(view, wait, told, len(alike))


def _why(view: _View, wait: Wait, told: Parts, alike: int) -> Parts:
    why = f"wait_{wait.reason}"
    match wait.reason:
        case WaitReason.NO_KV_BLOCKS if wait.needs is not None:
            blocks = view.tell("kv_blocks", n=wait.needs)
            needs = view.tell("needs", n=alike, blocks=blocks)
            free = view.tell("free", n=wait.free or 0)
            return view.tell("wait_for_blocks", wait=told, needs=needs, free=free)
        case WaitReason.FRAGMENTED:
            blocks = view.tell("kv_blocks", n=wait.needs or 0)
            return view.tell(why, n=alike, wait=told, blocks=blocks, free=wait.free or 0)
        case WaitReason.MAX_NUM_SEQS:
            return view.tell(why, wait=told, slots=view.header.max_num_seqs)
        case WaitReason.NO_KV_BLOCKS | WaitReason.PREEMPTED:
            return view.tell(why, wait=told)
        case WaitReason.BATCH_NOT_FINISHED:
            holders = wait.holders
            most = 2
        case WaitReason.HEAD_OF_LINE:
            holders = wait.holders
            most = 1
        case _:
            hog = _biggest_holder(view.after, wait)
            holders = () if hog is None else (hog,)
            most = 1
    if not holders:
        return view.tell(why, wait=told)
    return view.tell(f"{why}_on", n=len(holders), wait=told, who=view.badges(holders, most))


def _biggest_holder(state: State, wait: Wait) -> str | None:
    """The holder of more than half of what is missing."""
    weights = state.weigh(wait)
    best = max(weights, key=lambda id: weights[id], default=None)
    return best if best is not None and weights[best] * 2 > sum(weights.values()) else None


def _badge(id: str) -> Parts:
    return [{"id": id}]


def _capital(sentence: Parts) -> Parts:
    """The sentence with a capital letter, where it begins with a word."""
    first, *rest = sentence
    text = first.get("text", "")
    return [{"text": text[0].upper() + text[1:]}, *rest] if text else sentence


def _tenths(n: int, unit: int) -> str:
    """`n` in units, with one decimal."""
    tenths = (n * 10 + unit // 2) // unit
    return f"{tenths // 10:,}.{tenths % 10}"
