"""What the process that watches is told, and where it leaves its answer."""

from __future__ import annotations

from msgspec import Struct

from minillm.xray.case import Case
from minillm.xray.kernel import Kernel

XRAY, ERROR = "xray-{}.json", "error.txt"  # one for each case, or why not, in the request's folder


class Request(Struct, frozen=True):
    cases: tuple[Case, ...]
    kernel: Kernel
    watch: tuple[str, ...]
    folder: str
