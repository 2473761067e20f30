"""Each contender on each batch: first whether it is right, then how long it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from minillm.bench.kernels.cases import Case
from minillm.bench.kernels.contenders import CONTENDERS, Unavailable
from minillm.bench.kernels.reference import ERRORS, attention, error, written
from minillm.kernels.splits import choose_num_splits
from minillm.kernels.synthetic import Batch
from minillm.kernels.tiles import AttentionShape, choose_tiles, kind_of, tuned_tiles
from minillm.kernels.timing import Timing, time_run

COPY_BYTES = {"cuda": 2**32, "cpu": 2**28}

Status = Literal["measured", "not measured", "wrong", "failed"]


@dataclass(frozen=True, slots=True)
class Row:
    """One contender on one batch. Figures are None unless it was measured."""

    case: str
    contender: str
    status: Status
    note: str = ""  # why not, or what is special
    median_us: float | None = None  # microseconds of one call
    low_us: float | None = None  # 10th percentile
    high_us: float | None = None  # 90th
    repeats: int | None = None
    gb_per_s: float | None = None  # keys and values over time, 10⁹ bytes
    of_copy: float | None = None  # that, over the bandwidth of a copy; where memory is the limit
    tflops: float | None = None  # 10¹² operations a second; where computing is the limit
    times_first: float | None = None  # its time over that of the batch's first contender
    error: float | None = None  # the largest of any row, relative

    @property
    def remark(self) -> str:
        return self.note if self.status == "measured" else f"{self.status} ({self.note})"

    def plain(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


def copy_bandwidth(device: torch.device) -> float:
    """Bytes read and bytes written per second, of a large copy from and to the device's memory."""
    size = COPY_BYTES[device.type]
    source = torch.empty(size, dtype=torch.uint8, device=device).random_(256)
    target = torch.empty_like(source)
    return 2 * size / time_run(lambda: target.copy_(source), device, repeats=20).median


def measure(
    cases: Sequence[Case], device: torch.device, bandwidth: float, *, deadline: float
) -> Iterator[Row]:
    """A row for each contender of each case, in order, as they come.

    `bandwidth`: see `copy_bandwidth`. Nothing new is begun once `time.monotonic()` is at
    `deadline`.
    """
    for case in cases:
        if time.monotonic() >= deadline:
            yield from skipped([case], "out of time")
            continue
        try:
            batch = case.batch(device)
            wanted = written(batch) if case.is_write else attention(batch)
        except torch.OutOfMemoryError:
            yield from skipped([case], "too little memory")
            continue
        first = None
        for name in case.contenders:
            if time.monotonic() >= deadline:
                row = Row(case.name, name, "not measured", "out of time")
            else:
                row = _row(case, name, batch, wanted, bandwidth, first)
            if name == case.contenders[0]:
                first = row.median_us
            yield row


def skipped(cases: Sequence[Case], why: str) -> Iterator[Row]:
    """The rows of what is not measured."""
    for case in cases:
        for contender in case.contenders:
            yield Row(case.name, contender, "not measured", why)


def _row(
    case: Case,
    name: str,
    batch: Batch,
    wanted: torch.Tensor,
    bandwidth: float,
    first: float | None,
) -> Row:
    device = batch.q.device
    try:
        run = CONTENDERS[name](batch)
        off = error(run.rows(run.call()), wanted)
        kv_dtype = run.kv_dtype or case.dtype
        if off > ERRORS[kv_dtype]:
            return Row(case.name, name, "wrong", f"off by {off:.2g}", error=off)
        took = time_run(run.call, device)
    except Unavailable as reason:
        return Row(case.name, name, "not measured", str(reason))
    except torch.OutOfMemoryError:
        return Row(case.name, name, "not measured", "too little memory")
    except Exception as problem:  # whatever another project's kernel raises is its own row's matter
        text = str(problem).strip().split("\n")[0][:200]
        return Row(case.name, name, "failed", f"{type(problem).__name__}: {text}")
    note = tiles_note(batch) if name == "minillm" else ""
    return _measured(case, name, kv_dtype, took, off, note, bandwidth, first)


def _measured(
    case: Case,
    name: str,
    kv_dtype: torch.dtype,
    took: Timing,
    off: float,
    note: str,
    bandwidth: float,
    first: float | None,
) -> Row:
    per_s = case.kv_bytes(kv_dtype) / took.median
    return Row(
        case=case.name,
        contender=name,
        status="measured",
        note=note,
        median_us=took.median * 1e6,
        low_us=took.low * 1e6,
        high_us=took.high * 1e6,
        repeats=took.repeats,
        gb_per_s=per_s / 1e9 if case.limit != "compute" else None,
        of_copy=per_s / bandwidth if case.limit == "memory" else None,
        tflops=case.flops / took.median / 1e12 if case.limit != "memory" else None,
        times_first=1.0 if first is None else took.median * 1e6 / first,
        error=off,
    )


def tiles_note(batch: Batch) -> str:
    """Which tiles the kernel takes for `batch` and who chose them, and in how many splits."""
    heads, device = batch.heads, batch.q.device
    shape = AttentionShape(
        heads.group, heads.head_dim, heads.head_dim, batch.q.dtype, batch.k_cache.dtype
    )
    tiles = choose_tiles(batch.plan.max_query_len, shape, device)
    kind = kind_of(batch.plan.max_query_len, shape)
    tuned = device.type == "cuda" and kind is not None and tuned_tiles(kind, shape, device)
    visible = batch.plan.keys_per_tile(tiles.block_q, None)
    splits = choose_num_splits(visible, heads.num_kv_heads, tiles.num_sms)
    return f"{tiles} ({'tuned' if tuned else 'by rule'}), split in {splits}"
