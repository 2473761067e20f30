"""`xray`: a kernel's call observed in a process of its own.

Triton decides when a kernel is defined whether it is interpreted, so the caller's process, which
may hold a GPU engine, cannot do it itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from minillm.xray.case import Case, XRayError
from minillm.xray.file import load
from minillm.xray.kernel import Function, find_kernel
from minillm.xray.records import XRay
from minillm.xray.request import ERROR, XRAY, Request

# In minillm's attention kernels: the running maximum and sum, and by what both the sum and the
# output so far are multiplied when a tile raises the maximum.
WATCHED = ("highest", "total", "shrink")


def xray(
    case: Case,
    *,
    kernel: str | Function = "paged_attention",
    watch: Iterable[str] = WATCHED,
    timeout: float = 120.0,
) -> XRay:
    """Run a kernel over `case` under Triton's interpreter and record what it does to memory.

    `kernel`: "paged_attention", "csr_attention" (the same kernel with page tables without
    padding), "simple_attention" or "write_kv" of minillm; a function of your own, or its name as
    "file.py:function" or "module:function". It is the function that launches `triton.jit` kernels,
    and gets by its parameters' names what it asks for: q, key, value, k_cache, v_cache,
    block_tables, seq_lens, query_start_loc, slot_mapping, kv_indptr, kv_indices, last_page_len,
    scale, and what the case sets of sliding_window, num_splits, layout, tiles, and k_scale and
    v_scale of a cache in fp8. The file or notebook cell that defines
    it is run anew in another process, so it must define or import all that it needs.

    `watch`: variables of the kernel whose values are recorded as they change. `timeout`: seconds.

    Raises XRayError where triton is not installed (`bundled_xray` has one to show), where the
    kernel raises, and where it takes longer than `timeout`. What the kernel prints is printed.
    """
    (seen,) = xrays((case,), kernel=kernel, watch=watch, timeout=timeout)
    return seen


def xrays(
    cases: Sequence[Case],
    *,
    kernel: str | Function = "paged_attention",
    watch: Iterable[str] = WATCHED,
    timeout: float = 120.0,
) -> tuple[XRay, ...]:
    """`xray` of each of `cases`, in one process: its start costs more than a small case."""
    if find_spec("triton") is None:
        raise XRayError(
            "an X-ray needs the triton package, which exists for Linux; bundled_xray() is one "
            "that was taken before"
        )
    with TemporaryDirectory(prefix="minillm-xray-") as folder:
        request = Request(tuple(cases), find_kernel(kernel), tuple(watch), folder)
        ended = _run(msgspec.json.encode(request), timeout)
        if (Path(folder) / ERROR).exists():
            raise XRayError((Path(folder) / ERROR).read_text("utf-8"))
        paths = [Path(folder) / XRAY.format(number) for number in range(len(cases))]
        if not all(path.exists() for path in paths):
            raise XRayError(f"the process that ran {request.kernel.name} {ended}")
        return tuple(map(load, paths))


def _run(request: bytes, timeout: float) -> str:
    """Returns how the process ended."""
    environment = os.environ | {
        "TRITON_INTERPRET": "1",
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "CUDA_VISIBLE_DEVICES": "",  # an engine may be using them
        "OMP_NUM_THREADS": "1",  # and the cores
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    command = [sys.executable, "-P", "-m", "minillm.xray.child"]
    try:
        done = subprocess.run(
            command, input=request, env=environment, capture_output=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise XRayError(
            f"the interpreter took longer than {timeout:g} s; take a smaller case, or more time"
        ) from None
    print(done.stdout.decode(errors="replace"), end="")
    if done.returncode < 0:
        return f"was ended by {signal.Signals(-done.returncode).name}"
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return f"ended with code {done.returncode}" + (f": {said[-1]}" if said else "")
