"""From scheduled rows to the tensors of one packed forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import numpy as np
import torch

from minillm.execution.attention import LayerAttention
from minillm.execution.batch import Row
from minillm.execution.block_tables import BlockTables
from minillm.execution.kv_tensors import KVTensors
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.transfer import to_device
from minillm.kernels import paged_attention, write_kv
from minillm.kernels.plan import AttentionPlan


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """B sequences back to back as one (1, T) input. `logit_rows`: tokens whose logits are wanted,
    one for each row in `sampling_rows`."""

    input_ids: torch.Tensor  # [1, T] int64
    position_ids: torch.Tensor  # [1, T] int64
    slot_mapping: torch.Tensor  # [T] int64
    block_tables: torch.Tensor  # [B, max_blocks] int64
    seq_lens: torch.Tensor  # [B] int64, with this step's tokens
    query_start_loc: torch.Tensor  # [B + 1] int64
    logit_rows: torch.Tensor  # [S] int64
    sampling_rows: list[int]
    pending: list[tuple[int, str]]  # (token, request id): sampled, but not known here yet
    plan: AttentionPlan


def pack(
    rows: Sequence[Row], block_size: int, device: torch.device, kept: BlockTables | None = None
) -> PackedBatch:
    """Lay out each row's new tokens, where their K and V go, and whose logits are needed. `kept`:
    one for all steps of an engine makes it faster."""
    new = [row.num_new_tokens for row in rows]
    computed = [row.request.num_computed_tokens for row in rows]
    tokens: list[int] = []
    sampling: list[int] = []
    pending: list[tuple[int, str]] = []
    for i, row in enumerate(rows):
        request, start, n = row.request, computed[i], new[i]
        known = request.num_prompt_tokens
        if start + n > known + len(request.output_token_ids):
            tokens += [*request.token_ids(start, start + n - 1), 0]
            pending.append((len(tokens) - 1, request.request_id))
        elif n == 1 and start >= known:
            tokens.append(request.output_token_ids[start - known])
        else:
            tokens += request.token_ids(start, start + n)
        if start + n == known + request.num_output_tokens:
            sampling.append(i)
    starts = np.fromiter(accumulate(new, initial=0), np.int64, len(new) + 1)
    lengths, first = np.array(new, np.int64), np.array(computed, np.int64)
    ends = first + lengths
    width = -(-int(ends.max()) // block_size)
    tables = (kept or BlockTables()).array([row.block_table for row in rows], width)
    owner = np.repeat(np.arange(len(rows)), lengths)
    positions = np.arange(len(tokens)) + (first - starts[:-1])[owner]
    slots = tables[owner, positions // block_size] * block_size + positions % block_size
    ids, last = np.array(tokens, np.int64), starts[1:][sampling] - 1
    parts = _send((ids, positions, slots, tables, ends, starts, last), device)
    return PackedBatch(
        input_ids=parts[0][None],
        position_ids=parts[1][None],
        slot_mapping=parts[2],
        block_tables=parts[3],
        seq_lens=parts[4],
        query_start_loc=parts[5],
        logit_rows=parts[6],
        sampling_rows=sampling,
        pending=pending,
        plan=AttentionPlan(tables, ends, starts, block_size, device),
    )


def _send(arrays: Sequence[np.ndarray], device: torch.device) -> list[torch.Tensor]:
    """int64 arrays as tensors on `device`, in one copy. Each begins at a multiple of 16 bytes: a
    Triton kernel is compiled anew for pointers that do not."""
    padded = [array.size + array.size % 2 for array in arrays]
    ends = np.cumsum(padded)
    together = np.zeros(ends[-1], np.int64)
    for array, end, size in zip(arrays, ends, padded, strict=True):
        together[end - size : end - size + array.size] = array.reshape(-1)
    parts = to_device(together, device).split(padded)
    return [part[: a.size].view(a.shape) for part, a in zip(parts, arrays, strict=True)]


@dataclass(frozen=True, slots=True)
class PagedAttention:
    """The `LayerAttention` of one step: write the new K and V, then attend through the table."""

    batch: PackedBatch
    kv: KVTensors
    on_read: Callable[[int, int | None], None] | None = None  # (layer, sliding window)
    backend: str = "auto"  # of `minillm.kernels`

    def attend(
        self,
        layer: int,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        *,
        scale: float,
        sliding_window: int | None,
        softcap: float | None,
        sinks: torch.Tensor | None,
    ) -> torch.Tensor:
        batch = self.batch
        k_cache, v_cache = self.kv.layers[layer]
        if self.on_read is not None:
            self.on_read(layer, sliding_window)
        k_scale, v_scale = self.kv.scales.get(layer, (None, None))
        write_kv(
            k,
            v,
            k_cache,
            v_cache,
            batch.slot_mapping,
            k_scale=k_scale,
            v_scale=v_scale,
            padded=False,
            backend=self.backend,
        )
        return paged_attention(
            q,
            k_cache,
            v_cache,
            batch.block_tables,
            batch.seq_lens,
            batch.query_start_loc,
            scale=scale,
            sliding_window=sliding_window,
            softcap=softcap,
            sinks=sinks,
            k_scale=k_scale,
            v_scale=v_scale,
            plan=batch.plan,
            backend=self.backend,
        )


Forward = Callable[[PackedBatch, LayerAttention, torch.Tensor], torch.Tensor]
"""A whole model over a batch: logits of the given rows, [S, vocab]."""


def forward_of(loaded: LoadedModel) -> Forward:
    """The fastest `Forward` that needs no compiling."""
    return loaded.fused or partial(forward, loaded.model)


def forward(
    model: torch.nn.Module,
    batch: PackedBatch,
    attention: LayerAttention,
    logit_rows: torch.Tensor,
) -> torch.Tensor:
    """One forward of a transformers model over `batch`; logits of `logit_rows`, [S, vocab]."""
    return model(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        use_cache=False,
        logits_to_keep=logit_rows,
        minillm_batch=attention,
    ).logits[0]
