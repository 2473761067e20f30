"""transformers serving the same requests: its continuous batching, and `generate` in batches.

Both get what their users would give them: PyTorch's scaled dot product attention, no end token,
and no work that is not asked of minillm too. Setting up a manager is not part of the time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minillm.bench.engine.requests import Request
from minillm.bench.engine.stopwatch import Seconds, Stopwatch

PAGE_SIZE = 16
MAX_BATCH_TOKENS = 512
PATIENCE = 600.0  # seconds without a finished request, after which a run has failed


class TransformersModel:
    """A model folder in memory as transformers loads it, on `device` in `dtype`."""

    def __init__(self, folder: Path, device: str, dtype: str, temperature: float = 0.0) -> None:
        from transformers import AutoModelForCausalLM, GenerationConfig

        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation="sdpa", local_files_only=True
        )
        self.model = model.to(device).eval()
        random = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
        self._generation = GenerationConfig(
            **(random if temperature else {"do_sample": False}), eos_token_id=-1, pad_token_id=0
        )
        self.model.generation_config = self._generation

    def continuous(self, requests: Sequence[Request]) -> Seconds:
        """Continuous batching with small pages and the token budget of minillm. Raises
        RuntimeError when it stops before all is generated."""
        with _quiet(), self._manager(requests) as manager, Stopwatch() as watch:
            for request in requests:
                manager.add_request(request.prompt, max_new_tokens=request.output_len)
            produced = 0
            for _ in requests:
                result = manager.get_result(timeout=PATIENCE)
                if result is None or result.error is not None:
                    raise RuntimeError(f"continuous batching of transformers failed: {result}")
                produced += len(result.generated_tokens)
        _check(produced, sum(request.output_len for request in requests))
        return watch.seconds

    def _manager(self, requests: Sequence[Request]) -> Any:
        from transformers import ContinuousBatchingConfig

        pages = sum(
            -(-(len(request.prompt) + request.output_len) // PAGE_SIZE) for request in requests
        )
        config = ContinuousBatchingConfig(
            page_size=PAGE_SIZE, num_blocks=pages, max_batch_tokens=MAX_BATCH_TOKENS
        )
        return self.model.continuous_batching_context_manager(
            generation_config=self._generation, continuous_batching_config=config
        )

    def static(self, requests: Sequence[Request], batch_size: int) -> Seconds:
        """`generate` in batches in the order of arrival, prompts padded on the left, each batch as
        long as its longest answer."""
        import torch

        with _quiet(), torch.inference_mode(), Stopwatch(self.model.device) as watch:
            for first in range(0, len(requests), batch_size):
                batch = requests[first : first + batch_size]
                width = max(len(request.prompt) for request in batch)
                ids = torch.zeros(len(batch), width, dtype=torch.int64)
                mask = torch.zeros_like(ids)
                for row, request in enumerate(batch):
                    ids[row, width - len(request.prompt) :] = torch.tensor(request.prompt)
                    mask[row, width - len(request.prompt) :] = 1
                longest = max(request.output_len for request in batch)
                out = self.model.generate(
                    ids.to(self.model.device),
                    attention_mask=mask.to(self.model.device),
                    max_new_tokens=longest,
                )
                _check(out.shape[1] - width, longest)
        return watch.seconds


def _check(produced: int, wanted: int) -> None:
    if produced != wanted:
        raise RuntimeError(f"transformers generated {produced} tokens where {wanted} were asked")


@contextmanager
def _quiet() -> Iterator[None]:
    """No remarks of transformers while it is timed; errors are still told."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
