"""The real executor: one packed forward of a transformers model per step, then the sampler."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from minillm.execution.batch import AttentionRead, Result, Row
from minillm.execution.block_tables import BlockTables
from minillm.execution.cuda_graphs import DecodeGraphs
from minillm.execution.kv_scales import calibrate
from minillm.execution.kv_tensors import KVTensors
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.packing import Forward, PackedBatch, PagedAttention, forward_of, pack
from minillm.execution.sampler import Draw, Sampler
from minillm.execution.transfer import to_device
from minillm.kernels import choose_backend
from minillm.kernels.fp8 import check_fp8
from minillm.moves import NO_MOVES, BlockMoves


class Launched:
    """A batch of `num_rows` rows under way. `names`: whose tokens `draw` has, those of the rows in
    `sampling` first and then those of forks."""

    def __init__(self, num_rows: int, transfer_seconds: float) -> None:
        self.num_rows = num_rows
        self.transfer_seconds = transfer_seconds
        self.sampling: Sequence[int] = ()
        self.names: list[str] = []
        self.draw: Draw | None = None
        self.done: torch.cuda.Event | None = None

    def result(self) -> Result:
        """Wait for it."""
        result = Result([None] * self.num_rows, transfer_seconds=self.transfer_seconds)
        if self.done is not None:
            self.done.synchronize()
        if self.draw is not None:
            tokens = self.draw.read()
            own = len(self.sampling)
            for i, token in zip(self.sampling, tokens[:own], strict=True):
                result.sampled[i] = token
            result.forked = dict(zip(self.names[own:], tokens[own:], strict=True))
        return result


class TorchExecutor:
    """Computes batches on `loaded`'s device. Owns its KV tensors; shares the weights."""

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        num_blocks: int,
        block_size: int,
        num_cpu_blocks: int = 0,
        seed: int = 0,
        attention_backend: str = "auto",
        kv_cache_dtype: str = "auto",
    ) -> None:
        self.attention_backend = choose_backend(attention_backend, loaded.device)
        scales = None
        if kv_cache_dtype == "fp8":
            check_fp8(self.attention_backend, loaded.device)
            scales = calibrate(loaded)
        self.loaded = loaded
        self.kv = KVTensors(
            loaded,
            num_blocks=num_blocks,
            block_size=block_size,
            num_cpu_blocks=num_cpu_blocks,
            scales=scales,
        )
        self._tables = BlockTables()
        self.sampler = Sampler(seed, loaded.eos_token_ids)
        self.on_attention: Callable[[AttentionRead], None] | None = None
        self.forward: Forward = forward_of(loaded)
        self.graphs: DecodeGraphs | None = None  # decodes run without them, too, but slower
        self._launched: Launched | None = None  # the last one

    def execute(self, rows: Sequence[Row], moves: BlockMoves = NO_MOVES) -> Result:
        """See `Executor`. K and V go to the rows' blocks, whatever was there before."""
        return self.launch(rows, moves).result()

    @torch.inference_mode()
    def launch(self, rows: Sequence[Row], moves: BlockMoves = NO_MOVES) -> Launched:
        """As `execute`, but on CUDA without waiting for it. Launches are computed in order; a token
        that the one before is to sample is taken from there, on the device."""
        transfer_seconds = self.kv.move(moves) if moves else 0.0
        batch = pack(rows, self.kv.block_size, self.loaded.device, self._tables)
        if batch.pending:
            self._feed(batch)
        if self.graphs is not None and self.on_attention is None and self.graphs.takes(batch):
            logits = self.graphs.run(batch)
        else:
            report = self._reporter(rows)
            attention = PagedAttention(batch, self.kv, report, self.attention_backend)
            logits = self.forward(batch, attention, batch.logit_rows)
        launched = Launched(len(rows), transfer_seconds)
        if batch.sampling_rows:
            self._sample(rows, batch.sampling_rows, logits, launched)
        elif self.loaded.device.type == "cuda":
            launched.done = torch.cuda.Event()  # a step ends when its work is done
            launched.done.record()
        self._launched = launched
        return launched

    def _feed(self, batch: PackedBatch) -> None:
        """Put the tokens that the launch before samples where this one needs them."""
        before = self._launched
        assert before is not None
        assert before.draw is not None
        places = {name: place for place, name in enumerate(before.names)}
        pairs = [(token, places[name]) for token, name in batch.pending]
        to, source = to_device(np.array(pairs), batch.input_ids.device).unbind(1)
        batch.input_ids[0, to] = before.draw.tokens[source]

    def _sample(
        self,
        rows: Sequence[Row],
        sampling: Sequence[int],
        logits: torch.Tensor,
        launched: Launched,
    ) -> None:
        """One token for each row in `sampling`, and one from the same logits for each of its
        request's forks."""
        requests = [rows[i].request for i in sampling]
        forks = [(place, fork) for place, r in enumerate(requests) for fork in r.forks]
        if forks:
            places = [*range(len(requests)), *(place for place, _ in forks)]
            logits = logits[to_device(places, logits.device)]
        everyone = [*requests, *(fork for _, fork in forks)]
        launched.sampling = sampling
        launched.names = [request.request_id for request in everyone]
        launched.draw = self.sampler.sample(logits, everyone)

    def _reporter(self, rows: Sequence[Row]) -> Callable[[int, int | None], None] | None:
        """What tells `on_attention` of each layer's reads; None when nobody listens."""
        tell = self.on_attention
        if tell is None:
            return None

        def report(layer: int, window: int | None) -> None:
            size = self.kv.block_size
            blocks: dict[str, tuple[int, ...]] = {}
            for row in rows:
                start = row.request.num_computed_tokens
                first = 0 if window is None else max(0, start - window + 1)
                last = start + row.num_new_tokens - 1
                reads = row.block_table[first // size : last // size + 1]
                blocks[row.request.request_id] = tuple(reads)
            tell(AttentionRead(layer, self.attention_backend, blocks))

        return report
