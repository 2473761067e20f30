"""The real executor: one packed forward of a transformers model per step, then the sampler."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from minillm.execution.batch import AttentionRead, Result, Row
from minillm.execution.kv_tensors import KVTensors
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.packing import PagedAttention, forward, pack
from minillm.execution.sampler import Sampler
from minillm.kernels import choose_backend
from minillm.moves import NO_MOVES, BlockMoves


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
    ) -> None:
        self.attention_backend = choose_backend(attention_backend, loaded.device)
        self.loaded = loaded
        self.kv = KVTensors(
            loaded, num_blocks=num_blocks, block_size=block_size, num_cpu_blocks=num_cpu_blocks
        )
        self.sampler = Sampler(seed, loaded.eos_token_ids)
        self.on_attention: Callable[[AttentionRead], None] | None = None

    @torch.inference_mode()
    def execute(self, rows: Sequence[Row], moves: BlockMoves = NO_MOVES) -> Result:
        """See `Executor`. K and V go to the rows' blocks, whatever was there before."""
        transfer_seconds = self.kv.move(moves) if moves else 0.0
        batch = pack(rows, self.kv.block_size, self.loaded.device)
        attention = PagedAttention(batch, self.kv, self._reporter(rows), self.attention_backend)
        logits = forward(self.loaded.model, batch, attention, batch.logit_rows)
        result = Result([None] * len(rows), transfer_seconds=transfer_seconds)
        if batch.sampling_rows:
            self._sample(rows, batch.sampling_rows, logits, result)
        elif self.loaded.device.type == "cuda":
            torch.cuda.synchronize(self.loaded.device)  # a step ends when its work is done
        return result

    def _sample(
        self, rows: Sequence[Row], sampling: Sequence[int], logits: torch.Tensor, result: Result
    ) -> None:
        """One token for each row in `sampling`, and one from the same logits for each of its
        request's forks."""
        requests = [rows[i].request for i in sampling]
        forks = [(place, fork) for place, r in enumerate(requests) for fork in r.forks]
        if forks:
            own = torch.arange(len(requests))
            places = torch.cat((own, torch.tensor([place for place, _ in forks])))
            logits = logits[places.to(logits.device)]
        tokens = self.sampler.sample(logits, [*requests, *(fork for _, fork in forks)])
        for i, token in zip(sampling, tokens, strict=False):
            result.sampled[i] = token
        for (_, fork), token in zip(forks, tokens[len(requests) :], strict=True):
            result.forked[fork.request_id] = token

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
