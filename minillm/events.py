"""The words all parts share: wait reasons, events, and the Step.

A `Step` is the immutable record of one engine step. It says what *changed*, so that a run of a
hundred thousand steps stays small; the state after step n is a pure fold over steps 0..n
(`minillm.trace.fold`). Everything that draws, measures or explains a run reads these records and
nothing else.

Sequence ids are strings ("7"; a fork of it "7.1"). Times are engine-clock nanoseconds. An id that
begins with "*" names a group and is expanded by the fold:

* `ALL_WAITING`: every waiting sequence that has no entry of its own;
* `ALL_RUNNING`: as `who`, every admitted sequence that is not in this step's batch and has no
  entry of its own; as a holder, every admitted sequence that has not finished generating;
* `BATCH`: as a holder, the sequences in this step's batch.

In the file each event is a JSON array led by its kind, `["alloc", "7", [3, 4]]`.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

ALL_WAITING = "*waiting"
ALL_RUNNING = "*running"
BATCH = "*batch"


class WaitReason(StrEnum):
    """Why a sequence is not in this step's batch, recorded when the scheduler decides it."""

    BATCH_NOT_FINISHED = "batch_not_finished"  # static batching: the batch runs to completion
    MAX_NUM_SEQS = "max_num_seqs"  # every sequence slot is taken
    TOKEN_BUDGET = "token_budget"  # not enough of this step's token budget is left
    NO_KV_BLOCKS = "no_kv_blocks"  # not enough KV blocks are free
    FRAGMENTED = "fragmented"  # enough KV blocks are free, but no run of them is long enough
    HEAD_OF_LINE = "head_of_line"  # the policy does not look past the one that waits in front
    PREFILL_IN_PROGRESS = "prefill_in_progress"  # this step is prefill-only: decodes stall
    LOWER_PRIORITY = "lower_priority"  # the policy's order serves others first
    PREEMPTED = "preempted"  # lost its blocks in this very step


class Wait(Struct, frozen=True, array_like=True, gc=False):
    """`who` waits for `reason`; `holders` hold what is missing; it needs `needs`, `free` is left.

    Units of `needs` and `free`: tokens for TOKEN_BUDGET, blocks for NO_KV_BLOCKS, sequences for
    MAX_NUM_SEQS, None elsewhere; for FRAGMENTED the run needed and the longest free one, blocks.
    The reason is the first resource found missing, in the order in which the scheduler asks for
    them.
    """

    who: str
    reason: WaitReason
    holders: tuple[str, ...] = ()
    needs: int | None = None
    free: int | None = None


class Event(Struct, frozen=True, array_like=True, gc=False):
    """Something that happened to one sequence or to some blocks."""


class Added(Event, tag="added", frozen=True, array_like=True):
    """A request reached the engine. `text` is its prompt, where there is one."""

    id: str
    arrival: int
    prompt_len: int
    max_tokens: int
    text: str | None = None
    client: str | None = None
    priority: int = 0


class Rejected(Event, tag="rejected", frozen=True, array_like=True):
    """Refused at the door; it was never waiting."""

    id: str
    arrival: int
    message: str


class Admitted(Event, tag="admitted", frozen=True, array_like=True):
    """Waiting → running. `cached_tokens` were found in the prefix cache and need no compute."""

    id: str
    cached_tokens: int = 0


class Alloc(Event, tag="alloc", frozen=True, array_like=True):
    """`blocks` are appended to the block table of `id`: shared, reused from the cache, or free."""

    id: str
    blocks: tuple[int, ...]


class Free(Event, tag="free", frozen=True, array_like=True):
    """`id` gives up its whole block table. A block with no owner left is cached or free."""

    id: str


class Cached(Event, tag="cached", frozen=True, array_like=True):
    """These full blocks can be found by their content from now on."""

    blocks: tuple[int, ...]


class Evicted(Event, tag="evicted", frozen=True, array_like=True):
    """These blocks lost their cached content, to be used anew."""

    blocks: tuple[int, ...]


class Copied(Event, tag="copied", frozen=True, array_like=True):
    """Copy-on-write: in the block table of `id`, `block` is replaced by a copy of it, `copy`."""

    id: str
    block: int
    copy: int


class Forked(Event, tag="forked", frozen=True, array_like=True):
    """`child` appears beside `id`, with the same tokens, and shares `blocks`, the first of its
    block table."""

    id: str
    child: str
    blocks: tuple[int, ...]


class SwappedOut(Event, tag="swapped_out", frozen=True, array_like=True):
    """What `id` has computed is saved in `cpu_blocks`, in order, and its block table is given up.
    `copies` are the (block, CPU block) pairs copied now; the others were saved before."""

    id: str
    copies: tuple[tuple[int, int], ...]
    cpu_blocks: tuple[int, ...]


class SwappedIn(Event, tag="swapped_in", frozen=True, array_like=True):
    """What `id` had computed is back in its new block table; its CPU blocks are given up. `copies`
    are the (CPU block, block) pairs; blocks not named were still in device memory."""

    id: str
    copies: tuple[tuple[int, int], ...]


class Preempted(Event, tag="preempted", frozen=True, array_like=True):
    """Running → waiting, because `by` needed room. Unless it was swapped out just before, what it
    has computed is lost and will be computed again."""

    id: str
    by: str | None = None


class Done(Event, tag="done", frozen=True, array_like=True):
    """Generation ended, but a static batch holds the slot and blocks until the batch ends."""

    id: str


class Finished(Event, tag="finished", frozen=True, array_like=True):
    """The request left the engine; `reason` is a `FinishReason` value."""

    id: str
    reason: str


class Unknown(Event, frozen=True):
    """An event of a kind this version does not know: kept as read, and skipped by the fold."""

    raw: tuple[object, ...]


class Step(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    gc=False,  # nothing in a record points back: the collector need not look
    rename={"index": "n", "start": "t", "duration": "d", "transfer": "s", "prefills": "p",
            "waits": "w", "events": "e", "after": "a", "tokens": "k", "text": "x",
            "wasted": "z"},
):  # fmt: skip
    """One engine step. Its fold, in order:

    1. apply `events`: what happened since the step before, then what the scheduler did;
    2. run the batch: each `(id, n)` in `prefills` computes n prompt tokens, and every sequence
       in the decode phase computes one token *unless it waits*: it has a wait of its own, or
       `ALL_RUNNING` waits. A sequence whose tokens are all computed gains one output token
       (or as many as `tokens` lists for it, and none if it is `wasted`) and is in the decode
       phase from then on;
    3. apply `after`: what followed from the sampled tokens.
    """

    index: int
    start: int
    duration: int
    transfer: int = 0  # of `duration`: spent waiting for blocks to be swapped
    prefills: tuple[tuple[str, int], ...] = ()
    waits: tuple[Wait, ...] | None = None  # None: as in the step before
    events: tuple[Event, ...] = ()
    after: tuple[Event, ...] = ()
    tokens: dict[str, tuple[int, ...]] = {}  # sampled token ids; absent in simulation
    text: dict[str, str] = {}  # text that became final in this step
    wasted: tuple[str, ...] = ()  # computed or preempted though they had ended, see `overlapped`
