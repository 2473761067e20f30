"""Narration: what one step did, in a sentence or two.

The stage says the same in JavaScript (minillm/stage/js/narration.js); tests/trace compares the
two word for word. The rules of wording:

* The most important fact leads: a refusal, a preemption, a stall, a prefix-cache hit, dead slots.
  A second sentence adds what the batch is made of, or who waits and why. Never a third.
* Where nothing stands out, the batch comes first, then a wait, a finish or a first token.
* Requests are badges. Counts up to twelve that begin a sentence are words; numbers have commas.
* A wait names the holder of most of what is missing only if it holds more than half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from minillm.trace.fold import State
from minillm.trace.records import Header

Part = dict[str, str]  # {"text": …} or {"id": …}, a badge
_Pieces = list["str | Part"]

_WORDS = (
    "no one two three four five six seven eight nine ten eleven twelve".split()  # by value
)


def narrate(before: State, step: Step, after: State, header: Header) -> list[Part]:
    """What `step` did, as texts and badges in order. `before` and `after` are the states around
    it: `trace.state_at(n - 1)` and `trace.state_at(n)`."""
    view = _View(before, step, after, header)
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
    pieces: _Pieces = []
    for sentence in filter(None, sentences):
        pieces += [" ", *sentence] if pieces else sentence
    return _joined(pieces)


def sentence(before: State, step: Step, after: State, header: Header) -> str:
    """The same as plain text."""
    parts = narrate(before, step, after, header)
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

    def __init__(self, before: State, step: Step, after: State, header: Header) -> None:
        self.before, self.step, self.after, self.header = before, step, after, header
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

    def length(self, id: str) -> int:
        """Tokens of a sequence as the step began: prompt, and what it had generated."""
        known = self.before.sequences.get(id)
        return self.after.sequences[id].prompt_len + (known.outputs if known else 0)

    def _prefill(self, id: str, tokens: int) -> _Prefill:
        known, now = self.before.sequences.get(id), self.after.sequences[id]
        ends = now.phase != "prefill"
        first = ends and (known is None or known.first_token_at is None)
        return _Prefill(id, tokens, self.length(id), ends, first)


def _event(view: _View) -> tuple[int, _Pieces]:
    """The event that stands out and its weight: from 2 it leads; 4 says why some wait, 5 what
    the batch is made of, and neither is repeated."""
    for event in view.events:
        if isinstance(event, Rejected):
            return 3, [_badge(event.id), f" is refused: {event.message}"]
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
        found = f"{hit.cached_tokens:,} of its {view.length(hit.id):,}"
        return 2, [_badge(hit.id), f" finds {found} prompt tokens in the cache."]
    forks = [event for event in view.events if isinstance(event, Forked)]
    if forks:
        return 2, _fork(view, forks)
    if view.dead:
        return (2 if len(view.dead) >= len(view.decodes) else 1), _dead_slots(view)
    gone = [event for event in view.events if isinstance(event, Finished)]
    if len(gone) == 1:
        (event,) = gone
        how = {"abort": "is aborted", "error": "fails"}.get(event.reason, "finishes")
        outputs = _plural(view.after.sequences[event.id].outputs, "token")
        return 1, [_badge(event.id), f" {how} after {outputs}."]
    if gone:
        return 1, [*_badges([event.id for event in gone]), " finish."]
    writers = [event.id for event in view.events if isinstance(event, Copied)]
    if writers:
        one = len(writers) == 1
        does = " writes to a shared block" if one else " write to shared blocks"
        gets = " and gets a copy of it." if one else " and get copies of them."
        return 1, [*_badges(writers), does, gets]
    first = [row.id for row in view.prefills if row.first]
    if first:
        tell = " writes its first token." if len(first) == 1 else " write their first tokens."
        return 1, [*_badges(first), tell]
    return 0, []


def _preemption(view: _View, lost: Sequence[Preempted]) -> _Pieces:
    saved = {event.id: event for event in view.events if isinstance(event, SwappedOut)}
    known = [view.before.sequences.get(event.id) for event in lost if event.id not in saved]
    tokens = sum(s.computed for s in known if s is not None)
    again = f"{_plural(tokens, 'computed token')} must be computed again."
    if saved and not tokens:
        blocks = sum(len(event.copies) for event in saved.values())
        again = _swapped(view, blocks, "to")
        tokens = 1
    if len(lost) > 1:
        return [*_badges([event.id for event in lost]), f" are preempted; {again}"]
    (event,) = lost
    if event.by is None:
        cause: _Pieces = [" to free its blocks"]
    elif event.by == event.id:
        cause = [": no block is left for its own next token"]
    else:
        cause = [": ", _badge(event.by), " needs the room"]
    return [_badge(event.id), " is preempted", *cause, f"; {again}" if tokens else "."]


def _coming_back(view: _View, back: Sequence[SwappedIn]) -> _Pieces:
    verb = " comes back" if len(back) == 1 else " come back"
    blocks = sum(len(event.copies) for event in back)
    how = f": {_swapped(view, blocks, 'from')}" if blocks else "."
    return [*_badges([event.id for event in back]), verb, how]


def _swapped(view: _View, blocks: int, way: str) -> str:
    """How much moves to or from CPU memory, and how long the step waited for it."""
    if not blocks:
        return "all of it is in CPU memory already."
    size = blocks * view.header.block_size * view.header.kv_bytes_per_token
    amount = f" ({_tenths(size, 1_000_000)} MB)" if size else ""
    wait = view.step.transfer
    time = f" in {_tenths(wait, 1_000_000)} ms" if wait else ""
    move = "moves" if blocks == 1 else "move"
    return f"{_plural(blocks, 'block')}{amount} {move} {way} CPU memory{time}."


def _fork(view: _View, forks: Sequence[Forked]) -> _Pieces:
    children = [event.child for event in forks]
    verb = " forks off " if len(children) == 1 else " fork off "
    parents = list(dict.fromkeys(event.id for event in forks))
    outside = [event.id for event in view.step.after if isinstance(event, Preempted)]
    shared = len({b for event in forks if event.child not in outside for b in event.blocks})
    what = f" and {'shares' if len(children) == 1 else 'share'} {_plural(shared, 'block')}"
    told = [*_badges(children), verb, *_badges(parents), what if shared else ""]
    return (
        [*told, "; there is no room yet for ", *_badges(outside), "."] if outside else [*told, "."]
    )


def _stall(view: _View) -> tuple[int, _Pieces]:
    stalled, prefills = view.stalled, view.prefills
    who: _Pieces = [f"{_word(len(stalled)).capitalize()} running requests stall"]
    if len(stalled) == 1:
        who = [_badge(stalled[0]), " stalls"]
    wait = view.waits.get(stalled[0])
    reason = wait.reason if wait else None
    if reason == WaitReason.PREFILL_IN_PROGRESS and prefills:
        verb = " prefills " if len(prefills) == 1 else " prefill "
        tokens = _plural(sum(row.tokens for row in prefills), "token")
        return 5, [*who, " while ", *_badges([row.id for row in prefills]), verb, f"{tokens}."]
    because = {
        WaitReason.TOKEN_BUDGET: ": the token budget is spent.",
        WaitReason.NO_KV_BLOCKS: ": no KV block is free.",
        WaitReason.LOWER_PRIORITY: ": others are served first.",
    }
    return 2, [*who, because.get(reason, ".") if reason else "."]


def _dead_slots(view: _View) -> _Pieces:
    one = len(view.dead) == 1
    slots = "One slot is dead" if one else f"{_word(len(view.dead)).capitalize()} slots are dead"
    until: _Pieces = ["."]
    if view.decodes:
        ends = " ends." if len(view.decodes) == 1 else " end."
        until = [", but the batch runs until ", *_badges(view.decodes, 2), ends]
    return [f"{slots}: ", *_badges(view.dead), " is done" if one else " are done", *until]


def _batch(view: _View) -> _Pieces:
    decodes, prefills, budget = len(view.decodes), view.prefills, view.header
    tokens_allowed = f"{budget.max_num_batched_tokens:,}"
    pieces: _Pieces = []
    if decodes:
        takes = "decode takes" if decodes == 1 else "decodes take"
        pieces.append(
            f"{_word(decodes).capitalize()} {takes} {decodes:,} of {tokens_allowed} tokens"
        )
        pieces.append("; " if prefills else ".")
    if prefills:
        row = prefills[0]
        if len(prefills) > 1:
            tokens = _plural(sum(each.tokens for each in prefills), "token")
            pieces += [*_badges([each.id for each in prefills]), f" prefill {tokens}"]
        elif row.tokens == row.of:
            pieces += [_badge(row.id), f" prefills all its {_plural(row.of, 'token')}"]
        elif row.ends:
            pieces += [_badge(row.id), f" prefills the last {row.tokens:,} of its {row.of:,}"]
        else:
            pieces += [_badge(row.id), f" prefills {row.tokens:,} of its {row.of:,}"]
        pieces.append("." if decodes else f", with a budget of {tokens_allowed}.")
    return pieces


def _wait(view: _View) -> _Pieces:
    """Why the first in the queue waits; all who lack the same thing are named together."""
    waiting = [id for id in view.waits if id in view.after.waiting]
    if not waiting:
        return []
    wait = view.waits[waiting[0]]
    alike = [id for id in waiting if view.waits[id].reason == wait.reason]
    if len(alike) == 1:
        who: _Pieces = [_badge(alike[0]), " waits"]
    elif len(alike) <= 3:
        who = [*_badges(alike), " wait"]
    else:
        who = [f"{_word(len(alike)).capitalize()} wait"]
    return [*who, *_why(view, wait, one=len(alike) == 1)]


def _why(view: _View, wait: Wait, *, one: bool) -> _Pieces:
    hog = _biggest_holder(view.after, wait)
    badge: _Pieces = [_badge(hog)] if hog is not None else []
    match wait.reason:
        case WaitReason.TOKEN_BUDGET:
            most: _Pieces = [", most of it on ", *badge] if badge else []
            return [": the token budget is spent", *most, "."]
        case WaitReason.NO_KV_BLOCKS:
            if wait.needs is None:
                return [": no KV block is free."]
            free = wait.free or 0
            needs = f"{'it' if one else 'the first'} needs {_plural(wait.needs, 'KV block')}"
            return [f": {needs}, {free:,} {'is' if free == 1 else 'are'} free."]
        case WaitReason.FRAGMENTED:
            whose = "it needs" if one else "the first needs"
            run = f"{whose} a run of {_plural(wait.needs or 0, 'KV block')}"
            return [f": {run}, the longest free one has {wait.free or 0:,}."]
        case WaitReason.MAX_NUM_SEQS:
            return [f": all {view.header.max_num_seqs:,} sequence slots are taken."]
        case WaitReason.BATCH_NOT_FINISHED:
            writes = " still writes" if len(wait.holders) == 1 else " still write"
            still = [", and ", *_badges(wait.holders, 2), writes] if wait.holders else []
            return [": the batch must finish first", *still, "."]
        case WaitReason.HEAD_OF_LINE:
            return [" behind ", *_badges(wait.holders, 1), "."] if wait.holders else [" in line."]
        case WaitReason.LOWER_PRIORITY:
            above = [", ", *badge, " above all"] if badge else []
            return [": others are served first", *above, "."]
        case WaitReason.PREEMPTED:
            return [" for room after being preempted."]
        case WaitReason.PREFILL_IN_PROGRESS:
            return [": this step only prefills", *([" ", *badge] if badge else []), "."]


def _biggest_holder(state: State, wait: Wait) -> str | None:
    """The holder of more than half of what is missing."""
    weights = state.weigh(wait)
    best = max(weights, key=lambda id: weights[id], default=None)
    return best if best is not None and weights[best] * 2 > sum(weights.values()) else None


def _badge(id: str) -> Part:
    return {"id": id}


def _badges(ids: Sequence[str], most: int = 3) -> _Pieces:
    """Up to `most` badges, then how many more; one more than `most` is still spelled out."""
    shown = ids if len(ids) <= most + 1 else ids[:most]
    complete = len(shown) == len(ids)
    pieces: _Pieces = []
    for i, id in enumerate(shown):
        if i:
            pieces.append(" and " if complete and i == len(shown) - 1 else " ")
        pieces.append(_badge(id))
    return pieces if complete else [*pieces, f" and {_word(len(ids) - len(shown))} more"]


def _tenths(n: int, unit: int) -> str:
    """`n` in units, with one decimal."""
    tenths = (n * 10 + unit // 2) // unit
    return f"{tenths // 10:,}.{tenths % 10}"


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _word(n: int) -> str:
    return _WORDS[n] if n < len(_WORDS) else f"{n:,}"


def _joined(pieces: _Pieces) -> list[Part]:
    """Neighbouring texts become one part."""
    parts: list[Part] = []
    for piece in pieces:
        part = {"text": piece} if isinstance(piece, str) else piece
        if "text" in part and parts and "text" in parts[-1]:
            parts[-1] = {"text": parts[-1]["text"] + part["text"]}
        else:
            parts.append(part)
    return parts
