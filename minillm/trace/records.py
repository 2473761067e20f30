"""The records of a trace file besides `Step`: header, keyframe, note, closing
(docs/trace-format.md).

A trace file is UTF-8 text, one JSON object a line. The first line is the header; each other line
is a step, a keyframe (the full folded state after the step before it, so that a reader can start
there), a note that somebody pinned to the step before it, or the closing record that ends an
orderly run.
"""

from __future__ import annotations

from msgspec import Struct, field

from minillm.events import Event, Wait

FORMAT_VERSION = 2  # the newest that is read; a file says the lowest that its lines need
MOST_NOTE_TEXT = 2_000  # characters: what a stage can show


class Header(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was run. No wall time, host or process id: the same run gives the same bytes."""

    # A factory, so that it is written although it is the default: it tells a trace from others.
    minillm_trace: int = field(default_factory=lambda: 1)
    version: str = ""  # of minillm
    model: str = ""
    scheduler: str = ""
    kv_cache: str = "paged"
    reserve: str = ""  # of contiguous memory: "max" | "pow2" | "oracle"
    num_cpu_blocks: int = 0  # to swap to; 0: preempted sequences are computed again
    block_size: int
    num_blocks: int
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    prefix_caching: bool = False
    device: str = ""  # "cpu", "cuda: NVIDIA H200", "simulated: a100-80gb"
    dtype: str = ""
    seed: int = 0
    scene: str = ""  # the scene's name in the catalogue, if any
    title: str = ""
    question: str = ""  # what the scene asks
    kv_bytes_per_token: int = 0  # over all devices
    tensor_parallel: int = 1  # devices that the model is split over
    engine: str = ""  # which engine of a cluster
    first_step: int = 0  # of a stretch cut out of a run: which step of the run its step 0 was


class SequenceState(Struct, kw_only=True, omit_defaults=True):
    """One sequence after step n. Times are engine-clock ns. Part of keyframes."""

    id: str
    phase: str  # "waiting" | "prefill" | "decode" | "done" | "finished"
    arrival: int
    prompt_len: int
    max_tokens: int
    client: str | None = None
    priority: int = 0
    prompt: str | None = None
    text: str = ""
    computed: int = 0  # tokens whose K and V are in the cache
    target: int  # tokens to compute before the next sample (prompt, or prompt + output again)
    outputs: int = 0  # tokens generated
    cached_tokens: int = 0  # of `computed`, found in the prefix cache at admission
    blocks: list[int] = []  # block table: logical → physical
    cpu_blocks: list[int] = []  # where it is saved while it is swapped out
    admitted_at: int | None = None
    first_token_at: int | None = None
    finished_at: int | None = None
    preemptions: int = 0
    finish_reason: str | None = None
    parent: str | None = None  # of a fork, where a cut-out stretch begins; not kept elsewhere


class Keyframe(Struct, kw_only=True, omit_defaults=True):
    """The whole state after step `keyframe`. Sequences that finished in earlier steps are gone."""

    keyframe: int
    time: int = 0
    sequences: list[SequenceState] = []  # in order of arrival at the engine
    cached: list[int] = []  # blocks that can be found by content, owned or not
    waits: tuple[Wait, ...] = ()


class Note(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody has to say about step `note`; plain text, shown when that step is."""

    note: int
    text: str
    by: str = ""  # who says it

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError(f"the note on step {self.note} is empty: say something, or leave it")
        if len(self.text) > MOST_NOTE_TEXT:
            raise ValueError(
                f"the note on step {self.note} has {len(self.text):,} characters; "
                f"at most {MOST_NOTE_TEXT:,} can be shown: make it two"
            )


class Closing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last line of an orderly run: events after the last step, and how the run ended."""

    closing: str  # "complete" | "stopped"
    time: int
    events: tuple[Event, ...] = ()
