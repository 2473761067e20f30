"""What an X-ray holds: which addresses each program of a kernel touched, in which order.

Everything here was seen while the kernel ran; nothing is computed from the case. What follows
from it is in `reading.py`, the file in docs/xray.md.
"""

from __future__ import annotations

from msgspec import Struct, field

from minillm.xray.case import Case

FORMAT_VERSION = 1
ProgramId = tuple[int, int, int]
Box = tuple[tuple[int, int], ...]  # (first, end) along each axis of the tensor


class Tensor(Struct, frozen=True, kw_only=True):
    """A tensor that kernels were given. Element (i, j, …) lies at byte
    `itemsize * (i * strides[0] + j * strides[1] + …)` of it."""

    name: str  # as in the case (q, k_cache, block_tables …), else as the kernel calls it
    dtype: str
    itemsize: int  # bytes
    axes: tuple[str, ...]  # of caches: block, slot, head, dim
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # elements


class Access(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One `tl.load`, `tl.store` or atomic operation of one program.

    * `boxes`: what it touched, in the order of the tile; of a cache, block after block. No box
      spans two blocks. Elements of a box are in row-major order of the tensor's axes.
    * `lanes` of `width` elements of the tile were not masked off; `bytes` counts each touched byte
      of the tensor once.
    * `requests`, `sectors`, `lines`: what warps would ask of memory (`transactions.py`);
      `thread_bytes` is what each thread asks for at once, `warp` the byte of the tensor at which
      each of the 32 threads of the first request starts, −1 where it is masked off.
    * `outside`: lanes that pointed beyond the tensor. They were masked off; a GPU would have read
      or written something else's memory, or stopped.
    """

    op: str  # "load" | "store" | "atomic"
    tensor: str  # "" when every lane pointed outside
    site: int  # in the launch's `sites`: the line of the kernel
    boxes: tuple[Box, ...] = ()
    lanes: int
    width: int
    bytes: int
    requests: int
    sectors: int  # of 32 bytes
    lines: int  # of 128 bytes
    thread_bytes: int
    warp: tuple[int, ...] = ()
    outside: int = 0


class Value(Struct, frozen=True, kw_only=True):
    """A new value of a variable of the kernel, or of a function it calls: one number per row of
    the tile.

    Assigned when the program had made `after` accesses. As the kernel holds it: the fast kernel
    keeps its running maximum in base 2. Infinities and NaN are text: "-inf", "inf", "nan".
    """

    name: str
    after: int
    values: tuple[float | str, ...]

    @property
    def numbers(self) -> tuple[float, ...]:
        return tuple(map(float, self.values))


class Program(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One instance of a kernel. `accesses` are in the order in which it made them."""

    id: ProgramId  # tl.program_id of axes 0, 1, 2
    accesses: tuple[Access, ...] = ()
    values: tuple[Value, ...] = ()


class Line(Struct, frozen=True, kw_only=True):
    """A statement of a kernel, or of a function that it calls."""

    function: str
    source: str


class Site(Struct, frozen=True, kw_only=True):
    """A place in the kernel that touches memory: how it came there, from the kernel's own line to
    the one with the `tl.load` or `tl.store`."""

    lines: tuple[Line, ...]

    @property
    def source(self) -> str:
        """The line that says most: the innermost that does not just return what it loads."""
        told = [line.source for line in self.lines if not line.source.startswith("return ")]
        return (told or [line.source for line in self.lines])[-1]


class Launch(Struct, frozen=True, kw_only=True):
    """One kernel over its grid; programs in the order of the interpreter, which runs one after
    the other. A GPU runs them at the same time, in no promised order."""

    kernel: str
    grid: tuple[int, int, int]
    tensors: dict[str, str]  # the kernel's argument → name in the X-ray's `tensors`
    arguments: dict[str, bool | int | float | str | None]  # the others: tile sizes, strides, scale
    sites: tuple[Site, ...]
    programs: tuple[Program, ...]


class XRay(Struct, frozen=True, kw_only=True):
    """What the kernels of one call did to memory. The same case gives the same X-ray."""

    # A factory, so that it is written although it is the default: it tells an X-ray from others.
    minillm_xray: int = field(default_factory=lambda: FORMAT_VERSION)
    kernel: str  # the function called
    case: Case
    tensors: tuple[Tensor, ...]
    launches: tuple[Launch, ...]
