"""What cannot be served exactly is refused at load, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import REFUSED, tiny_config, tiny_model_folder
from transformers import AutoConfig

from minillm.execution import attention, packing
from minillm.execution.loaded_model import ModelError
from minillm.execution.loader import load_model
from minillm.execution.refusal import refuse_by_config

REASONS = {
    "bloom": "bloom family does not let its attention be replaced",
    "falcon": "falcon family does not let its attention be replaced",
    "stablelm": "stablelm family",
    "mamba": "mamba family",
    "lfm2": "layers of type conv",
    "qwen3_next": "linear_attention|attention be replaced",
}


@pytest.mark.parametrize("family", REFUSED)
def test_families_that_cannot_be_paged(family: str, tmp_path: Path):
    tiny_config(family).save_pretrained(tmp_path)  # refused before any weight is looked for
    with pytest.raises(ModelError, match=REASONS[family]):
        load_model(str(tmp_path))


def test_dynamic_rope_scaling(tmp_path: Path):
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    tiny_config("llama", rope_parameters=rope).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="dynamic RoPE"):
        load_model(str(tmp_path))


def test_dynamic_rope_in_one_kind_of_layer(tmp_path: Path):
    rope = {
        "full_attention": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    tiny_config("gemma3_text", rope_parameters=rope).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="dynamic RoPE"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_encoder_decoders(family: str, tmp_path: Path):
    AutoConfig.for_model(family).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"encoder-decoder|attention be replaced"):
        load_model(str(tmp_path))


def test_the_order_of_reasons():
    """Declared support, then layer types, then RoPE, then the architecture."""

    class Config:
        model_type = "odd"
        is_encoder_decoder = True
        layer_types = ("chunked_attention",)
        rope_parameters = {"rope_type": "dynamic"}

        def get_text_config(self, decoder: bool) -> Any:
            return self

    class Model:
        _supports_attention_backend = False

    config: Any = Config()
    for says, mend in (
        ("attention be replaced", lambda: setattr(Model, "_supports_attention_backend", True)),
        ("chunked_attention", lambda: setattr(config, "layer_types", ("full_attention",))),
        ("dynamic RoPE", lambda: setattr(config, "rope_parameters", {"rope_type": "yarn"})),
        ("encoder-decoder", lambda: setattr(config, "is_encoder_decoder", False)),
    ):
        with pytest.raises(ModelError, match=says):
            refuse_by_config("odd", Model, config)
        mend()
    refuse_by_config("odd", Model, config)


def forwarded(**kwargs: Any) -> None:
    q = torch.zeros(1, 2, 3, 4)
    module = torch.nn.Module()
    module.layer_idx = 0  # type: ignore[assignment]
    attention.attention_forward(module, q, q, q, None, **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"position_bias": torch.zeros(1)}, "position_bias"),
        ({"is_causal": False}, "not causal"),
        ({"minillm_batch": None}, "keyword arguments"),
    ],
)
def test_attention_refuses_what_it_would_have_to_ignore(kwargs: dict[str, Any], says: str):
    probe = attention.ShapeProbe()
    forwarded(minillm_batch=probe, position_bias=None, output_attentions=False)
    with pytest.raises(ModelError, match=says):
        forwarded(**{"minillm_batch": attention.ShapeProbe()} | kwargs)


@pytest.mark.parametrize(
    ("family", "lost"),
    [("gpt_oss", "sinks"), ("gemma2", "softcap"), ("mistral", "sliding_window")],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_self_check_sees_what_attention_forgets(
    family: str, lost: str, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = packing.paged_attention
    changes: dict[str, Any] = {"attn_logit_softcapping": 2.0} if family == "gemma2" else {}
    folder = tiny_model_folder(family, tmp_path, **changes)
    load_model(str(folder), dtype=dtype)
    monkeypatch.setattr(packing, "paged_attention", lambda *a, **k: whole(*a, **k | {lost: None}))
    with pytest.raises(ModelError, match="differ from eager attention"):
        load_model(str(folder), dtype=dtype)


def test_the_self_check_sees_sequences_that_leak_into_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As a convolution over the packed tokens would."""
    folder = tiny_model_folder("llama", tmp_path)
    from transformers.models.llama.modeling_llama import LlamaMLP

    whole = LlamaMLP.forward

    def leaking(self: Any, x: torch.Tensor) -> torch.Tensor:
        return whole(self, x + 0.1 * torch.roll(x, 1, dims=1))

    monkeypatch.setattr(LlamaMLP, "forward", leaking)
    with pytest.raises(ModelError, match="differ from eager attention"):
        load_model(str(folder))


@pytest.mark.parametrize("family", ["llama", "gpt_oss"])
def test_rounding_in_a_deep_half_precision_model_is_no_reason(family: str, tmp_path: Path):
    """Twenty-four random layers of experts turn one rounding into a fifth of the logits."""
    changes: dict[str, Any] = {"num_hidden_layers": 24}
    if family == "gpt_oss":
        changes["layer_types"] = ["sliding_attention", "full_attention"] * 12
    load_model(str(tiny_model_folder(family, tmp_path, **changes)), dtype="bfloat16")
