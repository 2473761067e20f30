"""What cannot be served exactly is refused at load, with the reason.

Cheap checks on the configuration come first, before any weight is read. What they miss, a short
comparison with the model's own eager attention finds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from minillm.execution.attention import ATTENTION_NAME
from minillm.execution.batch import Row
from minillm.execution.kv_tensors import KVTensors
from minillm.execution.loaded_model import LoadedModel, ModelError
from minillm.execution.packing import PagedAttention, forward_of, pack
from minillm.execution.tensor_parallel.reference import unsplit
from minillm.request import Request, SamplingParams

SERVED_LAYERS = ("full_attention", "sliding_attention")
TOLERANCE = 1e-4  # of logits in fp32, relative where they are larger than 1
HALF_TOLERANCE = 0.05  # half precision: of a sequence's median row, relative to its spread,
NOISE_TOLERANCE = 3  # or so many times what rounding alone does to this model
CHECK_LENGTHS = (19, 13)
CHECK_CHUNKS = ((7, 5), (6, 1), (5, 6), (1, 1))  # new tokens of both sequences, step by step
CHECK_BLOCK_SIZE = 4


def refuse_by_config(name: str, model_class: Any, config: Any) -> None:
    """Raise ModelError for what the model's class and configuration already tell."""
    text = config.get_text_config(decoder=True)
    kind = config.model_type
    if not model_class._supports_attention_backend:
        raise ModelError(
            f"{name}: the {kind} family does not let its attention be replaced "
            "(transformers declares no attention-backend support for it), so a paged KV cache "
            "cannot serve it. Choose another model."
        )
    strange = sorted(set(getattr(text, "layer_types", None) or ()) - set(SERVED_LAYERS))
    if strange:
        raise ModelError(
            f"{name}: {kind} has layers of type {', '.join(strange)}. Only full and sliding "
            "attention can be served: other layers carry state that a packed batch would mix up."
        )
    if "dynamic" in rope_types(text):
        raise ModelError(
            f"{name}: dynamic RoPE scaling depends on the longest sequence of the whole batch, so "
            "batch neighbours would change each other's results. Remove the scaling or use yarn."
        )
    if config.is_encoder_decoder:
        raise ModelError(f"{name}: {kind} is an encoder-decoder; only decoders can be served.")


def rope_types(text_config: Any) -> set[str]:
    """The kinds of RoPE scaling in use; some families have one per layer type."""
    parameters = getattr(text_config, "rope_parameters", None) or {}
    nested = [p for p in parameters.values() if isinstance(p, dict)]
    return {p["rope_type"] for p in (parameters, *nested) if "rope_type" in p}


def refuse_missing_weights(name: str, missing: Collection[str]) -> None:
    """transformers would fill what a checkpoint lacks with random numbers, and go on."""
    if missing:
        some = ", ".join(sorted(missing)[:3]) + (" …" if len(missing) > 3 else "")
        raise ModelError(f"{name}: {len(missing)} weights are missing from its files: {some}")


def refuse_by_logits(loaded: LoadedModel) -> None:
    """Compare a chunked, packed, paged run with eager attention, sequence by sequence.

    Raises ModelError when logits differ. State that leaks between packed sequences or chunks
    shows here, as does anything that attention was asked for and did not do.
    """
    random = np.random.default_rng(0)
    prompts = [random.integers(0, loaded.vocab_size, n).tolist() for n in CHECK_LENGTHS]
    with _eager(loaded) as model:
        wanted = [_eager_logits(model, prompt, loaded.device) for prompt in prompts]
    paged = _paged_logits(loaded, prompts, PagedAttention)
    if loaded.dtype == torch.float32:
        limit = max(TOLERANCE, *(TOLERANCE * want.abs().max().item() for want in wanted))
        worst = max((w - p).abs().max().item() for w, p in zip(wanted, paged, strict=True))
    else:
        jittered = _paged_logits(loaded, prompts, JitteredAttention)
        limit = max(HALF_TOLERANCE, NOISE_TOLERANCE * _typical_error(paged, jittered))
        worst = _typical_error(wanted, paged)
    if not worst <= limit:
        raise ModelError(
            f"{loaded.name}: its logits on a paged, packed batch differ from eager attention by "
            f"{worst:.2g} (limit {limit:.2g}). It would answer wrongly, so it is not served."
        )


def _typical_error(wanted: list[torch.Tensor], got: list[torch.Tensor]) -> float:
    """Of the worse sequence, the median row's error relative to the spread of its logits. Not the
    worst row's: a rounding may flip the choice of an expert."""
    errors = []
    for want, have in zip(wanted, got, strict=True):
        spread = (want - want.mean(-1, keepdim=True)).square().mean(-1).sqrt()
        errors.append(((want - have).square().mean(-1).sqrt() / spread).median().item())
    return max(errors)


class JitteredAttention(PagedAttention):
    """As exact as `PagedAttention`, with other roundings: shows how much this model amplifies
    them."""

    def attend(self, layer: int, q: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        out = super().attend(layer, q, *args, **kwargs)
        rng = torch.Generator(out.device).manual_seed(layer)
        noise = torch.randn(out.shape, generator=rng, device=out.device)
        return (out.float() * (1 + noise * torch.finfo(out.dtype).eps / 2)).to(out.dtype)


@contextmanager
def _eager(loaded: LoadedModel) -> Iterator[Any]:
    """The model with its own attention; a split one as it is when it is whole."""
    if loaded.tensor_parallel > 1:
        try:
            with unsplit(loaded.model) as whole:
                yield whole
        except Exception as error:  # whatever foreign model code makes of lent weights
            raise ModelError(
                f"{loaded.name}: split over {loaded.tensor_parallel} it cannot be compared with "
                f"what it is when whole, so it is not served: {error}"
            ) from error
        return
    loaded.model.set_attn_implementation("eager")
    try:
        yield loaded.model
    finally:
        loaded.model.set_attn_implementation(ATTENTION_NAME)


@torch.inference_mode()
def _eager_logits(model: Any, prompt: list[int], device: torch.device) -> torch.Tensor:
    tokens = torch.tensor([prompt], device=device)
    mask = torch.ones_like(tokens)
    return model(input_ids=tokens, attention_mask=mask, use_cache=False).logits[0].float()


@torch.inference_mode()
def _paged_logits(
    loaded: LoadedModel, prompts: list[list[int]], attention: type[PagedAttention]
) -> list[torch.Tensor]:
    """Logits of every position, both prompts packed together and computed chunk by chunk."""
    blocks = -(-max(CHECK_LENGTHS) // CHECK_BLOCK_SIZE)
    kv = KVTensors(loaded, num_blocks=blocks * len(prompts), block_size=CHECK_BLOCK_SIZE)
    params = SamplingParams(max_tokens=1)
    requests = [
        Request(str(i), i, len(p), params, 1, 0, prompt_token_ids=p) for i, p in enumerate(prompts)
    ]
    tables = [list(range(i, blocks * len(prompts), len(prompts))) for i in range(len(prompts))]
    parts: list[list[torch.Tensor]] = [[] for _ in prompts]
    forward = forward_of(loaded)
    for chunk in CHECK_CHUNKS:
        rows = [Row(r, n, t) for r, n, t in zip(requests, chunk, tables, strict=True)]
        batch = pack(rows, CHECK_BLOCK_SIZE, loaded.device)
        every = torch.arange(sum(chunk), device=loaded.device)
        logits = forward(batch, attention(batch, kv), every).float()
        for request, n, part, piece in zip(
            requests, chunk, parts, logits.split(list(chunk)), strict=True
        ):
            request.num_computed_tokens += n
            part.append(piece)
    return [torch.cat(part) for part in parts]
