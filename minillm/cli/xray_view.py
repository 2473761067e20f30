"""An X-ray in the terminal: the grid, or one program access by access."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from minillm.cli.shell import printable
from minillm.xray import Access, Launch, Program, XRay, XRayError
from minillm.xray.reading import (
    accesses,
    bytes_loaded,
    bytes_moved,
    bytes_needed,
    readers,
    rows,
    tensor,
)
from minillm.xray.records import Box, ProgramId

_STYLES = ("cyan", "magenta", "green", "yellow", "blue")  # of sequences, by turns
_MOST_PROGRAMS = 40
_MOST_BOXES = 8
_MOST_VALUES = 8


def grid_view(xray: XRay) -> RenderableType:
    """Every launch: which program reads which physical blocks, in which order, at what cost."""
    parts: list[RenderableType] = [_case(xray)]
    for launch in xray.launches:
        parts += ["", _title(launch), _grid(xray, launch)]
        if any(accesses(program, "k_cache", "load") for program in launch.programs):
            parts += ["", *_figures(xray, launch)]
    return Group(*parts)


def program_view(xray: XRay, id: ProgramId) -> RenderableType:
    """One program of each launch whose grid has it: every access, in order, and between them the
    values that its variables took. Raises XRayError where no grid has such a program."""
    parts: list[RenderableType] = []
    for launch in xray.launches:
        for program in launch.programs:
            if program.id == id:
                parts += [_title(launch), Text(f"program {_id(id)}"), _steps(xray, launch, program)]
    if not parts:
        grids = ", ".join(f"{launch.kernel} {_id(launch.grid)}" for launch in xray.launches)
        raise XRayError(f"there is no program {_id(id)}; the grids are {grids}")
    return Group(*parts)


def _case(xray: XRay) -> Text:
    """Who owns which blocks."""
    case = xray.case
    told = ", KV cache in fp8" if case.kv_cache_dtype == "fp8" else ""
    text = Text(f"{printable(xray.kernel)}\n", "bold")
    text.append(
        f"{case.num_heads} query heads, {case.num_kv_heads} KV heads of {case.head_dim} "
        f"{case.dtype}{told}, {case.layout}, blocks of {case.block_size} tokens",
        "not bold",
    )
    for b, (new, length) in enumerate(zip(case.query_lens, case.seq_lens, strict=True)):
        what = f"\nsequence {b}: {new} new of {length} tokens, blocks "
        text.append(what, "not bold").append(
            " ".join(map(str, case.block_tables[b])), f"not bold {_STYLES[b % len(_STYLES)]}"
        )
    return text


def _title(launch: Launch) -> Text:
    sizes = {k: v for k, v in launch.arguments.items() if k.isupper() and v not in (0, False)}
    told = " ".join(f"{name}={value}" for name, value in sizes.items())
    text = Text(printable(launch.kernel), "bold")
    text.append(f" · grid {' × '.join(map(str, launch.grid))}", "not bold")
    return text.append(f" · {printable(told)}", "not bold dim") if told else text


def _grid(xray: XRay, launch: Launch) -> Table:
    attends = any(accesses(program, "k_cache", "load") for program in launch.programs)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("program")
    if attends:
        table.add_column("computes")
        table.add_column("reads K blocks, load by load")
    else:
        table.add_column("reads")
        table.add_column("writes")
    for name in ("loads", "requests", "sectors", "lines"):
        table.add_column(name, justify="right")
    owners = _owners(xray)
    for program in launch.programs[:_MOST_PROGRAMS]:
        if attends:
            row = (_computes(xray, program), _blocks(xray, program, owners))
        else:
            row = tuple(_moves(xray, program, op) for op in ("load", "store"))
        loads = [access for access in program.accesses if access.op == "load"]
        counts = (
            len(loads),
            *(sum(getattr(a, n) for a in loads) for n in ("requests", "sectors", "lines")),
        )
        idle = "dim" if not any(access.op != "load" for access in program.accesses) else ""
        table.add_row(_id(program.id), *row, *map(str, counts), style=idle)
    if len(launch.programs) > _MOST_PROGRAMS:
        table.add_row("…", f"and {len(launch.programs) - _MOST_PROGRAMS:,} more", style="dim")
    return table


def _computes(xray: XRay, program: Program) -> str:
    """The queries of its tile, by position, and their heads."""
    case = xray.case
    computed = rows(xray, program) if _has(xray, "q") else ()
    if not computed:
        return "nothing: a spare program"
    tokens, heads = sorted({t for t, _ in computed}), sorted({h for _, h in computed})
    told = []
    for b in sorted({case.sequence_of(token) for token in tokens}):
        shift = case.seq_lens[b] - case.query_start_loc[b + 1]  # token → position
        own = [token + shift for token in tokens if case.sequence_of(token) == b]
        told.append(f"sequence {b} at {_span(own[0], own[-1] + 1)}")
    return f"{', '.join(told)} · head{'s' if heads[1:] else ''} {_span(heads[0], heads[-1] + 1)}"


def _blocks(xray: XRay, program: Program, owners: Mapping[int, str]) -> Text:
    """One group per load of K; a block of which only some slots are read says which."""
    axes = tensor(xray, "k_cache").axes
    block_axis, slot_axis = axes.index("block"), axes.index("slot")
    text = Text()
    for n, access in enumerate(accesses(program, "k_cache", "load")):
        text.append(" │ " if n else "", "dim")
        for i, box in enumerate(access.boxes):
            block, slots = box[block_axis][0], box[slot_axis]
            whole = slots == (0, xray.case.block_size)
            told = str(block) if whole else f"{block}:{_span(*slots)}"
            text.append(" " if i else "").append(told, owners.get(block, "bold red"))
        if access.outside:
            text.append(f" {access.outside} lanes outside", "bold red")
    return text


def _moves(xray: XRay, program: Program, op: str) -> str:
    return ", ".join(
        _where(xray, a) for a in program.accesses if (a.op == "load") == (op == "load")
    )


def _steps(xray: XRay, launch: Launch, program: Program) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("#", justify="right")
    table.add_column("what", overflow="fold", min_width=32)
    for name in ("lanes", "bytes", "requests", "sectors", "lines"):
        table.add_column(name, justify="right")
    table.add_column("at", style="dim", overflow="ellipsis", no_wrap=True)
    values = list(_values(program, len(rows(xray, program)) if _has(xray, "q") else 0))
    for n, access in enumerate(program.accesses):
        for after, told in values:
            if after == n:
                table.add_row("", told, style="green")
        told = f"{access.op} {_where(xray, access)}"
        counts = (access.bytes, access.requests, access.sectors, access.lines)
        lanes = f"{access.lanes} of {access.width}" if access.width > 1 else "1"
        source = printable(launch.sites[access.site].source)
        table.add_row(str(n), told, lanes, *map(str, counts), Text(source))
    for after, told in values:
        if after == len(program.accesses):
            table.add_row("", told, style="green")
    return table


def _values(program: Program, num_rows: int) -> Iterator[tuple[int, str]]:
    """(accesses made before, text) of every new value, without those of padding rows."""
    for value in program.values:
        numbers = value.numbers[: num_rows or None]
        shown = " ".join(f"{number:.4g}" for number in numbers[:_MOST_VALUES])
        more = " …" if len(numbers) > _MOST_VALUES else ""
        yield value.after, f"{printable(value.name)} = {shown}{more}"


def _where(xray: XRay, access: Access) -> str:
    """A tensor and what of it, axis by axis; whole axes at the end are left out."""
    if not access.tensor:
        return f"{access.outside} lanes outside every tensor"
    shape = tensor(xray, access.tensor).shape

    def told(box: Box) -> str:
        spans = [_span(*span) for span in box]
        while len(spans) > 1 and box[len(spans) - 1] == (0, shape[len(spans) - 1]):
            spans.pop()
        return "[" + ", ".join(spans) + "]"

    text = " ".join(told(box) for box in access.boxes[:_MOST_BOXES])
    more = f" and {len(access.boxes) - _MOST_BOXES} more" if len(access.boxes) > _MOST_BOXES else ""
    outside = f", {access.outside} lanes outside" if access.outside else ""
    return f"{printable(access.tensor)}{text or ' nothing'}{more}{outside}"


def _figures(xray: XRay, launch: Launch) -> list[str]:
    loaded, needed = bytes_loaded(launch), bytes_needed(xray)
    shared = sum(len(by) > 1 for by in readers(xray, launch).values())
    told = [
        f"K and V: {loaded:,} bytes loaded of {needed:,} that the queries see "
        f"({loaded / needed:.2f}×), in sectors of {bytes_moved(launch):,} bytes",
        f"K blocks read by more than one program for the same KV head: {shared}",
    ]
    outside = sum(access.outside for p in launch.programs for access in p.accesses)
    if outside:
        told.append(f"[bold red]{outside:,} lanes pointed outside their tensor[/]")
    return told


def _has(xray: XRay, name: str) -> bool:
    return any(tensor.name == name for tensor in xray.tensors)


def _owners(xray: XRay) -> dict[int, str]:
    """block → the style of the first sequence that owns it."""
    owners: dict[int, str] = {}
    for b, table in enumerate(xray.case.block_tables):
        for block in table:
            owners.setdefault(block, _STYLES[b % len(_STYLES)])
    return owners


def _id(id: ProgramId) -> str:
    return ",".join(map(str, id))


def _span(first: int, end: int) -> str:
    return str(first) if end == first + 1 else f"{first}–{end - 1}"
