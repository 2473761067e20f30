"""CUDA graphs for decoding: launch a step's hundreds of kernels as one.

A decode step of a small model is over before the CPU has launched its kernels one by one. A graph
is recorded once and replayed with a single launch, on tensors that stay where they are. Its shape
is fixed, so there is one for each of a few batch sizes, and a smaller batch is filled up with rows
that read nothing and write nowhere (as vLLM and nano-vllm do).
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from minillm.execution.kv_tensors import KVTensors
from minillm.execution.packing import Forward, PackedBatch, PagedAttention
from minillm.kernels.plan import AttentionPlan

log = logging.getLogger(__name__)

LARGEST = 512  # rows: past that a step takes longer than its launches


def batch_sizes(max_num_seqs: int) -> list[int]:
    """The sizes that graphs are made for, ascending: 1, 2, 4, multiples of 8, the largest."""
    most = min(max_num_seqs, LARGEST)
    return sorted({n for n in (1, 2, 4, *range(8, most, 8), most) if n <= most})


@dataclass(frozen=True, slots=True)
class Graph:
    """What computes the same once more, on the same tensors."""

    replay: Callable[[], None]
    logits: torch.Tensor  # [size, vocab], overwritten by each replay


Capture = Callable[[Callable[[], torch.Tensor]], Graph]  # calls it once before it records


class DecodeGraphs:
    """A graph per batch size, all on one set of input tensors and one of logits. Memory of
    intermediate results is shared, too, because only one of them runs at a time: the largest is
    recorded first."""

    def __init__(
        self,
        forward: Forward,
        kv: KVTensors,
        *,
        max_num_seqs: int,
        max_model_len: int,
        backend: str,
        capture: Capture | None = None,
    ) -> None:
        """Records all graphs: a few seconds. `capture` stands in for CUDA's in tests."""
        self.forward = forward
        self.kv = kv
        self.backend = backend
        self._max_model_len = max_model_len
        self._sizes = batch_sizes(max_num_seqs)
        most, device = self._sizes[-1], kv.device
        width = -(-max_model_len // kv.block_size)
        self._ids = torch.zeros(1, most, dtype=torch.int64, device=device)
        self._positions = torch.zeros(1, most, dtype=torch.int64, device=device)
        self._slots = torch.full((most,), -1, dtype=torch.int64, device=device)
        self._tables = torch.zeros(most, width, dtype=torch.int64, device=device)
        self._lens = torch.zeros(most, dtype=torch.int64, device=device)
        self._starts = torch.arange(most + 1, device=device)
        self._logits: torch.Tensor | None = None  # [most, vocab]
        record = capture or _CudaCapture()
        self._graphs = {size: self._record(size, record) for size in reversed(self._sizes)}

    def takes(self, batch: PackedBatch) -> bool:
        """Is there a graph for `batch`: rows of one new token each, sampled, and not too many?"""
        rows = len(batch.seq_lens)
        return (
            batch.input_ids.shape[1] == rows == len(batch.sampling_rows)
            and rows <= self._sizes[-1]
            and batch.block_tables.shape[1] <= self._tables.shape[1]
        )

    def run(self, batch: PackedBatch) -> torch.Tensor:
        """The logits of `batch`, [B, vocab]: yours until the next call."""
        rows, width = batch.block_tables.shape
        size = self._sizes[bisect_left(self._sizes, rows)]
        self._ids[:, :rows] = batch.input_ids
        self._positions[:, :rows] = batch.position_ids
        self._slots[:rows] = batch.slot_mapping
        self._tables[:rows, :width] = batch.block_tables
        self._lens[:rows] = batch.seq_lens
        if rows < size:
            self._slots[rows:size] = -1
            self._lens[rows:size] = 0
        graph = self._graphs[size]
        graph.replay()
        return graph.logits[:rows]

    def _record(self, size: int, capture: Capture) -> Graph:
        batch = self._batch(size)
        attention = PagedAttention(batch, self.kv, None, self.backend)

        def compute() -> torch.Tensor:
            # Logits that each graph kept for itself would be 4,231 rows for batches of up to 256,
            # 1.3 GB of Qwen3's. A copy moves 0.16 GB; such a step reads 30 with 1k tokens each.
            logits = self.forward(batch, attention, batch.logit_rows)
            if self._logits is None:  # the first call, of the largest size, is not recorded
                self._logits = torch.empty_like(logits)
            return self._logits[:size].copy_(logits)

        return capture(compute)

    def _batch(self, size: int) -> PackedBatch:
        """The inputs of a graph: the first rows of the tensors that all graphs share. The plan is
        of the longest sequences there can be; it decides how many programs share one."""
        longest = np.full(size, self._max_model_len)
        tables = np.zeros((size, 1), np.int64)
        starts = np.arange(size + 1)
        return PackedBatch(
            input_ids=self._ids[:, :size],
            position_ids=self._positions[:, :size],
            slot_mapping=self._slots[:size],
            block_tables=self._tables[:size],
            seq_lens=self._lens[:size],
            query_start_loc=self._starts[: size + 1],
            logit_rows=self._starts[:size],
            sampling_rows=list(range(size)),
            pending=[],
            plan=AttentionPlan(tables, longest, starts, self.kv.block_size, self.kv.device),
        )


class _CudaCapture:
    """Records on a stream of its own; all graphs share one pool of memory."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, compute: Callable[[], torch.Tensor]) -> Graph:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            compute()  # kernels are compiled and libraries set up before anything is recorded
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may have engines of their own, which go on while this records.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            logits = compute()
        return Graph(graph.replay, logits)


def record_graphs(
    forward: Forward, kv: KVTensors, *, max_num_seqs: int, max_model_len: int, backend: str
) -> DecodeGraphs | None:
    """Graphs where they can be had: on CUDA, with Triton's kernels, and for a model whose forward
    never waits for the device. None, with a warning, where recording fails."""
    if kv.device.type != "cuda" or backend != "triton":
        return None
    try:
        with torch.inference_mode():
            return DecodeGraphs(
                forward, kv, max_num_seqs=max_num_seqs, max_model_len=max_model_len, backend=backend
            )
    except RuntimeError as error:
        torch.cuda.synchronize(kv.device)
        log.warning("no CUDA graphs, so decoding is slower: %s", error)
        return None
