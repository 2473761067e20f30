"""Loading a model: find it, refuse what cannot be served exactly, move it to its device."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from minillm.execution.attention import ATTENTION_NAME
from minillm.execution.finding import Source, find
from minillm.execution.fused import fuse
from minillm.execution.linear_layout import lay_out_linears
from minillm.execution.loaded_model import LayerShape, LoadedModel, ModelError
from minillm.execution.probe import run_probe
from minillm.execution.refusal import (
    refuse_by_config,
    refuse_by_logits,
    refuse_missing_weights,
    rope_types,
)
from minillm.execution.tensor_parallel.group import Order, ShardGroup
from minillm.execution.tensor_parallel.loading import (
    backend_for,
    device_of_rank,
    local_rank,
    refuse_split,
    serve_other_rank,
    split_class,
    split_settings,
)
from minillm.execution.tensor_parallel.seats import ShardError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_model(
    model: str, *, device: str = "auto", dtype: str = "auto", tensor_parallel: int = 1
) -> LoadedModel:
    """Load "pocket", a local folder, or a hub id.

    device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1". dtype: "auto" (fp32 on CPU,
    the model's own on CUDA), "float32", "bfloat16", "float16". `tensor_parallel`: processes to
    split it over, each on a GPU of its own or all on the CPU; this one is rank 0 and starts the
    others. Under torchrun they are there, and in all but rank 0 this call is the last: it serves
    rank 0 and then exits. Raises ModelError when the model cannot be found, served exactly or
    split.
    """
    if tensor_parallel == 1:
        return load_shard(model, device=device, dtype=dtype)
    source = find(model)
    config = source.read(AutoConfig)
    refuse_by_config(model, _model_class(model, config), config)
    target = find_device(device)
    refuse_split(model, config, tensor_parallel, target)
    serve_other_rank(tensor_parallel)
    group = None
    try:
        group = ShardGroup(tensor_parallel, backend_for(target))
        return load_split(group, model, device=device, dtype=dtype)
    except BaseException as error:
        if group is not None:
            group.close()
        if isinstance(error, ShardError):
            told = f"{model} cannot be split over {tensor_parallel}: {error}"
            raise ModelError(told) from error
        raise


def load_split(
    group: ShardGroup, model: str, *, device: str = "auto", dtype: str = "auto"
) -> LoadedModel:
    """Have every rank of `group` load its share; rank 0's. What they had before is dropped."""
    shares = group.everywhere(
        Order("load", (model, device, dtype)),
        lambda: load_shard(model, device=device, dtype=dtype, size=group.size),
    )
    assert shares[0] is not None
    return replace(shares[0], group=group)


def load_shard(
    model: str, *, device: str = "auto", dtype: str = "auto", rank: int = 0, size: int = 1
) -> LoadedModel:
    """The whole model; or, of `size` ranks that all do this together, the share of `rank`."""
    source = find(model)
    config = source.read(AutoConfig)
    model_class = _model_class(model, config)
    refuse_by_config(model, model_class, config)
    target = find_device(device)
    auto, split = AutoModelForCausalLM, {}
    if size > 1:
        refuse_split(model, config, size, target)
        auto, split = split_class(model_class), split_settings(size)
        target = device_of_rank(target, rank)
    with local_rank(rank) if size > 1 else nullcontext():
        weights, info = source.read(
            auto,
            dtype=_dtype(dtype, target, model, config),
            attn_implementation="eager",
            use_safetensors=True,
            output_loading_info=True,
            **split,
        )
    refuse_missing_weights(model, info["missing_keys"])
    weights = weights.to(target).eval().requires_grad_(False)
    if size == 1:  # a share's layers carry hooks that belong to their modules
        lay_out_linears(weights)
    weights.set_attn_implementation(ATTENTION_NAME)
    text = weights.config.get_text_config(decoder=True)
    layer_shapes = _layer_shapes(model, weights, target)  # before anything is fused: it explains
    fused = fuse(weights, text.vocab_size) if size == 1 else None
    loaded = LoadedModel(
        name=model,
        model=weights,
        tokenizer=_tokenizer(source),
        device=target,
        dtype=weights.dtype,
        vocab_size=text.vocab_size,
        eos_token_ids=_eos_token_ids(weights),
        max_model_len=_max_model_len(model, text),
        layer_shapes=layer_shapes,
        tensor_parallel=size,
        fused=fused,
    )
    refuse_by_logits(loaded)
    return loaded


def _model_class(model: str, config: Any) -> Any:
    try:
        return AutoModelForCausalLM._model_mapping[type(config)]
    except KeyError:
        kind = "an encoder-decoder" if config.is_encoder_decoder else "no causal language model"
        raise ModelError(f"{model}: {config.model_type} is {kind}; it cannot be served.") from None


def find_device(device: str) -> torch.device:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        target = torch.device(device)
    except RuntimeError:
        raise ModelError(f"unknown device {device!r}; known: auto, cpu, cuda, cuda:N.") from None
    if target.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"device {device!r}: torch sees no CUDA device here. Use device='cpu'.")
    return target


def _dtype(dtype: str, device: torch.device, model: str, config: Any) -> torch.dtype:
    if dtype == "auto":
        if device.type == "cpu" or model == "pocket":  # its file is fp16 to be small, no more
            return torch.float32
        return config.get_text_config(decoder=True).dtype or config.dtype or torch.bfloat16
    if dtype not in DTYPES:
        raise ModelError(f"unknown dtype {dtype!r}; known: auto, {', '.join(DTYPES)}.")
    return DTYPES[dtype]


def _tokenizer(source: Source) -> Any | None:
    folder = source.folder
    if folder is not None and not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return None
    return source.read(AutoTokenizer)


def _layer_shapes(model: str, weights: Any, device: torch.device) -> dict[int, LayerShape]:
    try:
        return run_probe(weights, 3, device)
    except Exception as error:  # whatever foreign model code makes of a packed input
        raise ModelError(f"{model} cannot be served: {error}") from error


def _eos_token_ids(model: Any) -> frozenset[int]:
    eos = model.generation_config.eos_token_id
    if eos is None:
        eos = model.config.get_text_config(decoder=True).eos_token_id
    if eos is None:
        return frozenset()
    return frozenset([eos] if isinstance(eos, int) else eos)


def _max_model_len(model: str, text_config: Any) -> int:
    limit = getattr(text_config, "max_position_embeddings", None)
    if not isinstance(limit, int):
        raise ModelError(f"{model} does not say its context length (max_position_embeddings).")
    if "longrope" in rope_types(text_config):
        # Past the original length longrope would switch the frequencies of the whole batch.
        return min(limit, text_config.rope_parameters["original_max_position_embeddings"])
    return limit
