"""What an X-ray shows: who read which blocks, in which order, how often, at what cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from minillm.xray.case import XRayError
from minillm.xray.records import Access, Launch, Program, ProgramId, Tensor, XRay

CACHES = ("k_cache", "v_cache")


def tensor(xray: XRay, name: str) -> Tensor:
    """The tensor called `name`. XRayError lists those there are."""
    for each in xray.tensors:
        if each.name == name:
            return each
    known = ", ".join(each.name for each in xray.tensors)
    raise XRayError(f"no kernel was given a tensor {name!r}; there are: {known}")


def attention(xray: XRay) -> Launch:
    """The launch that reads the K cache. XRayError where none does."""
    for launch in xray.launches:
        if any(accesses(program, "k_cache", "load") for program in launch.programs):
            return launch
    raise XRayError(f"no kernel that {xray.kernel} launched read k_cache")


def accesses(program: Program, name: str, op: str | None = None) -> tuple[Access, ...]:
    """What `program` did with tensor `name`, in order; `op`: only "load", "store" or "atomic"."""
    return tuple(a for a in program.accesses if a.tensor == name and op in (None, a.op))


def blocks_read(xray: XRay, program: Program, name: str = "k_cache") -> tuple[int, ...]:
    """The physical blocks of a cache in the order in which `program` read them. A block that is
    read on from where the last load stopped is named once."""
    axis = tensor(xray, name).axes.index("block")
    order = [box[axis][0] for a in accesses(program, name, "load") for box in a.boxes]
    return tuple(b for i, b in enumerate(order) if i == 0 or order[i - 1] != b)


def slots_read(
    xray: XRay, program: Program, name: str = "k_cache"
) -> frozenset[tuple[int, int, int]]:
    """(block, slot, KV head) of everything of a cache that `program` read, in whole or in part."""
    axes = tensor(xray, name).axes
    at = [axes.index(axis) for axis in ("block", "slot", "head")]
    found = set()
    for access in accesses(program, name, "load"):
        for box in access.boxes:
            (block, _), (first, end), (head, last_head) = (box[axis] for axis in at)
            found |= {(block, s, h) for s in range(first, end) for h in range(head, last_head)}
    return frozenset(found)


def rows(xray: XRay, program: Program) -> tuple[tuple[int, int], ...]:
    """(token of the packed batch, query head) of each row of the tile that `program` computes, by
    the q that it loaded. Padding rows have none, and come last."""
    axes = tensor(xray, "q").axes
    at = [axes.index("token"), axes.index("head")]
    found = []
    for access in accesses(program, "q", "load"):
        for box in access.boxes:
            (token, last_token), (head, last_head) = (box[axis] for axis in at)
            found += [(t, h) for t in range(token, last_token) for h in range(head, last_head)]
    return tuple(dict.fromkeys(found))


def readers(
    xray: XRay, launch: Launch, name: str = "k_cache"
) -> dict[tuple[int, int], tuple[ProgramId, ...]]:
    """For each (physical block, KV head) of a cache, the programs that read it, in order. More
    than one: every query tile of a sequence reads what it sees, and sequences may share blocks."""
    found: defaultdict[tuple[int, int], list[ProgramId]] = defaultdict(list)
    for program in launch.programs:
        for pair in sorted({(b, head) for b, _, head in slots_read(xray, program, name)}):
            found[pair].append(program.id)
    return {pair: tuple(found[pair]) for pair in sorted(found)}


def bytes_loaded(launch: Launch, names: Iterable[str] = CACHES) -> int:
    """Bytes of `names` that the programs loaded, summed over programs and loads."""
    wanted = set(names)
    return sum(
        access.bytes
        for program in launch.programs
        for access in program.accesses
        if access.op == "load" and access.tensor in wanted
    )


def bytes_moved(launch: Launch, names: Iterable[str] = CACHES) -> int:
    """Bytes of the sectors that had to be fetched for these loads, were there no cache."""
    wanted = set(names)
    return 32 * sum(
        access.sectors
        for program in launch.programs
        for access in program.accesses
        if access.op == "load" and access.tensor in wanted
    )


def bytes_needed(xray: XRay) -> int:
    """Bytes of K and V that the case's queries see, each slot counted once."""
    case = xray.case
    slots = {slot for b in range(len(case.seq_lens)) for slot in case.visible_slots(b)}
    return 2 * len(slots) * case.num_kv_heads * case.head_dim * case.kv_itemsize
