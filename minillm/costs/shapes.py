"""The shape of a model: the few numbers that decide how many bytes it moves and what it computes.

Published models are data here; any other comes from its transformers configuration, as a dict,
as an object, from a folder's `config.json`, or by hub id (only that loads transformers).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minillm.config import ConfigError, closest

_POCKET = Path(__file__).parents[1] / "pocket" / "model"
_TIED = ("opt", "gpt2", "gemma")  # whose configurations need not say so


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A decoder-only transformer. Sizes are elements; bytes follow from `dtype_bytes`, 2 for fp16.

    With `num_experts` every layer holds so many MLPs of `intermediate_size`, of which a token
    passes `experts_per_token`. `extra_per_layer` and `extra` count biases, norms and learned
    positions, so that `num_parameters` is exact for the models listed here.
    """

    name: str
    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    max_model_len: int
    gated_mlp: bool = True
    tied_embeddings: bool = False
    sliding_window: int | None = None
    num_experts: int = 1
    experts_per_token: int = 1
    extra_per_layer: int = 0
    extra: int = 0

    @property
    def attention_parameters(self) -> int:
        """Of q, k, v and out, one layer."""
        queries = self.num_heads * self.head_dim
        keys = self.num_kv_heads * self.head_dim
        return self.hidden_size * (2 * queries + 2 * keys)

    @property
    def mlp_parameters(self) -> int:
        """Of one MLP (one expert), one layer."""
        return (3 if self.gated_mlp else 2) * self.hidden_size * self.intermediate_size

    @property
    def router_parameters(self) -> int:
        return self.hidden_size * self.num_experts if self.num_experts > 1 else 0

    @property
    def num_parameters(self) -> int:
        mlps = self.num_experts * self.mlp_parameters + self.router_parameters
        layer = self.attention_parameters + mlps + self.extra_per_layer
        embeddings = (1 if self.tied_embeddings else 2) * self.vocab_size * self.hidden_size
        return self.num_layers * layer + embeddings + self.extra

    def weight_bytes(self, dtype_bytes: int = 2) -> int:
        return self.num_parameters * dtype_bytes

    def kv_bytes_per_token(self, dtype_bytes: int = 2) -> int:
        """K and V of one token over all layers."""
        return 2 * self.num_layers * self.num_kv_heads * self.head_dim * dtype_bytes

    def kv_slots(self, memory: float, dtype_bytes: int = 2) -> int:
        """Tokens whose K and V fit `memory` bytes."""
        return int(memory // self.kv_bytes_per_token(dtype_bytes))

    def shard(self, tensor_parallel: int) -> ModelShape:
        """What one of `tensor_parallel` devices holds: its share of heads, MLP and vocabulary.
        Fewer KV heads than devices are held more than once. Raises ConfigError."""
        if tensor_parallel < 1 or self.num_heads % tensor_parallel:
            raise ConfigError.of(
                "refusals.heads_not_divided",
                model=self.name,
                heads=self.num_heads,
                devices=tensor_parallel,
            )
        return replace(
            self,
            num_heads=self.num_heads // tensor_parallel,
            num_kv_heads=-(-self.num_kv_heads // tensor_parallel),
            intermediate_size=-(-self.intermediate_size // tensor_parallel),
            vocab_size=-(-self.vocab_size // tensor_parallel),
        )


def _llama(
    name: str,
    layers: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    intermediate: int,
    vocab: int,
    max_len: int,
    **more: Any,
) -> ModelShape:
    more = {"head_dim": hidden // heads, "extra_per_layer": 2 * hidden, "extra": hidden, **more}
    return ModelShape(
        name=name,
        num_layers=layers,
        hidden_size=hidden,
        num_heads=heads,
        num_kv_heads=kv_heads,
        intermediate_size=intermediate,
        vocab_size=vocab,
        max_model_len=max_len,
        **more,
    )


def _qwen3(name: str, layers: int, hidden: int, heads: int, inter: int, **more: Any) -> ModelShape:
    extra = 2 * hidden + 2 * 128  # two norms, and one each for the heads of q and k
    more = {"head_dim": 128, "extra_per_layer": extra, **more}
    return _llama(name, layers, hidden, heads, 8, inter, 151_936, 40_960, **more)


def _opt(name: str, layers: int, hidden: int, heads: int) -> ModelShape:
    return ModelShape(
        name=name,
        num_layers=layers,
        hidden_size=hidden,
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=hidden // heads,
        intermediate_size=4 * hidden,
        vocab_size=50_272,
        max_model_len=2048,
        gated_mlp=False,
        tied_embeddings=True,
        extra_per_layer=13 * hidden,  # biases 4 + 4 + 1, two layer norms of 2
        extra=(2048 + 2 + 2) * hidden,  # positions (OPT keeps two spare), final layer norm
    )


MODELS: dict[str, ModelShape] = {
    shape.name: shape
    for shape in (
        _llama("llama-2-7b", 32, 4096, 32, 32, 11_008, 32_000, 4096),
        _llama("llama-2-13b", 40, 5120, 40, 40, 13_824, 32_000, 4096),
        _llama("llama-2-70b", 80, 8192, 64, 8, 28_672, 32_000, 4096),
        _llama("llama-3-8b", 32, 4096, 32, 8, 14_336, 128_256, 8192),
        _llama("llama-3-70b", 80, 8192, 64, 8, 28_672, 128_256, 8192),
        _llama("mistral-7b", 32, 4096, 32, 8, 14_336, 32_000, 32_768, sliding_window=4096),
        _llama(
            "mixtral-8x7b", 32, 4096, 32, 8, 14_336, 32_000, 32_768,
            num_experts=8, experts_per_token=2,
        ),
        _llama("yi-34b", 60, 7168, 56, 8, 20_480, 64_000, 4096),
        _qwen3("qwen3-0.6b", 28, 1024, 16, 3072, tied_embeddings=True),
        _qwen3("qwen3-8b", 36, 4096, 32, 12_288),
        _qwen3("qwen3-32b", 64, 5120, 64, 25_600),
        _opt("opt-13b", 40, 5120, 40),
        _opt("opt-30b", 48, 7168, 56),
        _opt("opt-66b", 64, 9216, 72),
        _opt("opt-175b", 96, 12_288, 96),
    )
}  # fmt: skip


def get_model(model: str | ModelShape | Mapping[str, Any] | Any) -> ModelShape:
    """The shape of `model`: a name in `MODELS`, "pocket", a folder with a `config.json`, a hub
    id, or a transformers configuration (dict or object). Raises ConfigError."""
    if isinstance(model, ModelShape):
        return model
    if isinstance(model, str) and model in MODELS:
        return MODELS[model]
    if isinstance(model, str | Path):
        folder = _POCKET if model == "pocket" else Path(model)
        if (folder / "config.json").is_file():
            return from_config(json.loads((folder / "config.json").read_text()), name=str(model))
        return from_config(_hub_config(str(model)), name=str(model))
    return from_config(model)


def from_config(config: Any, name: str | None = None) -> ModelShape:
    """The shape that a transformers configuration describes: a dict, or anything with `to_dict`.
    Biases and norms, well under 0.1 % of the weights, are not counted. Raises ConfigError."""
    fields: Mapping[str, Any] = config if isinstance(config, Mapping) else config.to_dict()
    fields = {**fields, **(fields.get("text_config") or {})}

    def first(*keys: str, default: int | None = None) -> int:
        for key in keys:
            if fields.get(key) is not None:
                return int(fields[key])
        if default is None:
            raise ConfigError(f"the model's configuration says nothing of {keys[0]!r}.")
        return default

    kind = str(fields.get("model_type", "model"))
    hidden = first("hidden_size", "n_embd")
    heads = first("num_attention_heads", "n_head")
    experts = first("num_local_experts", "num_experts", "n_routed_experts", default=1)
    inter = first("intermediate_size", "ffn_dim", "n_inner", default=4 * hidden)
    return ModelShape(
        name=name or str(fields.get("_name_or_path") or kind),
        num_layers=first("num_hidden_layers", "n_layer"),
        hidden_size=hidden,
        num_heads=heads,
        num_kv_heads=first("num_key_value_heads", default=heads),
        head_dim=first("head_dim", default=hidden // heads),
        intermediate_size=first("moe_intermediate_size", default=inter) if experts > 1 else inter,
        vocab_size=first("vocab_size"),
        max_model_len=first("max_position_embeddings", "n_positions", default=2048),
        gated_mlp=kind not in ("opt", "gpt2", "gpt_neox", "gptj", "phi", "starcoder2"),
        tied_embeddings=bool(fields.get("tie_word_embeddings", kind.startswith(_TIED))),
        sliding_window=_window(fields),
        num_experts=max(1, experts),
        experts_per_token=first("num_experts_per_tok", default=1) if experts > 1 else 1,
    )


def _window(fields: Mapping[str, Any]) -> int | None:
    """The window where it holds for every layer; a mix of kinds counts as full attention."""
    window = fields.get("sliding_window")
    if not window or not fields.get("use_sliding_window", True):
        return None
    kinds = fields.get("layer_types") or ()
    return None if "full_attention" in kinds else int(window)


def _hub_config(model: str) -> Any:
    if "/" not in model:
        raise ConfigError(
            f"unknown model {model!r}.{closest(model, [*MODELS, 'pocket'])} Known: "
            f"{', '.join(MODELS)}, pocket, a folder with a config.json, or a hub id."
        )
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(model)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"no configuration of {model!r} to be had: {reason}") from error
