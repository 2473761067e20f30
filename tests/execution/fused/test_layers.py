"""Fused MLPs, attention layers and whole decoders: the same numbers, and only where they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import tiny_model_folder
from torch import nn
from transformers.models.llama.configuration_llama import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaMLP
from transformers.models.olmo.configuration_olmo import OlmoConfig
from transformers.models.olmo.modeling_olmo import OlmoAttention

from minillm.execution.attention import ATTENTION_NAME
from minillm.execution.fused import decoder
from minillm.execution.fused.attention import FusedAttention, Listener, fuse_attention
from minillm.execution.fused.mlp import FusedMLP, fuse_mlps
from minillm.execution.fused.product import LEAST, Product, side_by_side
from minillm.execution.loader import load_model
from minillm.kernels.cpu_ops import cpu_ops

pytestmark = pytest.mark.skipif(cpu_ops() is None, reason="there is no C compiler")

CONFIG = LlamaConfig(
    hidden_size=24, intermediate_size=40, num_attention_heads=4, num_key_value_heads=2, head_dim=8
)


def _mlp(activation: str = "silu", bias: bool = False) -> LlamaMLP:
    torch.manual_seed(0)
    return LlamaMLP(LlamaConfig(**{**CONFIG.to_dict(), "hidden_act": activation, "mlp_bias": bias}))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 24), (2, 3, 24), (7, 24), (1, 300, 24)])
@torch.no_grad()
def test_an_mlp_gives_the_same(bias: bool, shape: tuple[int, ...]) -> None:
    mlp = _mlp(bias=bias)
    if bias:
        for linear in (mlp.gate_proj, mlp.up_proj, mlp.down_proj):
            nn.init.normal_(linear.bias)
    x = torch.randn(shape)
    wanted = mlp(x)
    model = nn.Sequential(mlp)
    assert (fuse_mlps(model, True), fuse_mlps(model, True)) == (1, 0)
    torch.testing.assert_close(model(x), wanted, rtol=1e-5, atol=1e-6)


def test_an_mlp_with_another_activation_or_type_is_left_alone() -> None:
    mlps = [_mlp("gelu"), _mlp().half(), _mlp().to("meta")]
    model = nn.Sequential(*mlps)
    assert fuse_mlps(model, True) == 0
    assert list(model) == mlps


class _Clipped(LlamaMLP):
    """As Step 3.7's, whose bound is 16: what it clips, no small number shows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.act_fn(self.gate_proj(x)).clamp(max=16)
        return self.down_proj(gate * self.up_proj(x).clamp(-16, 16))


class _Pair(LlamaMLP):
    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(x), None


def test_an_mlp_that_clips_answers_otherwise_or_changes_the_width_is_left_alone() -> None:
    narrower = _mlp()
    narrower.down_proj = nn.Linear(40, 8)
    mlps = [_Clipped(CONFIG), _Pair(CONFIG), narrower]
    model = nn.Sequential(*mlps)
    assert fuse_mlps(model, True) == 0
    assert list(model) == mlps


def test_a_fused_module_shares_the_weights_of_its_original() -> None:
    mlp = _mlp()
    model = nn.Sequential(mlp)
    assert fuse_mlps(model, False) == 1
    x = torch.randn(1, 2, 24)
    with torch.no_grad():
        mlp.up_proj.weight.zero_()
        assert not model(x).any()


def _attention(**changes: Any) -> LlamaAttention:
    torch.manual_seed(0)
    config = LlamaConfig(**{**CONFIG.to_dict(), **changes})
    config._attn_implementation = ATTENTION_NAME
    return LlamaAttention(config, 3)


@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_an_attention_layer_asks_and_answers_the_same(bias: bool) -> None:
    layer = _attention(attention_bias=bias)
    if bias:
        nn.init.normal_(layer.k_proj.bias)
    x, where = torch.randn(1, 6, 24), tuple(torch.randn(2, 1, 6, 8))
    before, after = Listener(), Listener()
    wanted = layer(x, where, attention_mask=None, minillm_batch=before)[0]
    model = nn.ModuleDict({"self_attn": layer})
    assert (fuse_attention(model, False), fuse_attention(model, False)) == (1, 0)
    got = model["self_attn"](x, where, attention_mask=None, minillm_batch=after)[0]
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)
    (a,), (b,) = before.calls, after.calls
    assert (a.layer, a.options) == (b.layer, b.options)
    for one, other in zip(a.tensors, b.tensors, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_an_attention_layer_of_another_kind_is_left_alone() -> None:
    class Scaled(LlamaAttention):
        def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            return super().forward(hidden_states * 2, *args, **kwargs)

    class Longer(LlamaAttention):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return (*super().forward(*args, **kwargs), None)

    class Gated(LlamaAttention):
        """As Qwen3-Next's: half of what q_proj gives is a gate."""

        def __init__(self, config: LlamaConfig, layer: int) -> None:
            super().__init__(config, layer)
            self.q_proj, self.whole = nn.Linear(24, 64, bias=False), self.q_proj

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            both = self.q_proj
            self.q_proj = self.whole
            try:
                return super().forward(*args, **kwargs)
            finally:
                self.q_proj = both

    config = _attention().config
    odd = [Scaled(config, 0), Longer(config, 0), Gated(config, 0), _attention().double()]
    model = nn.ModuleList(odd)
    assert fuse_attention(model, False) == 0
    assert list(model) == odd


def test_attention_that_clips_queries_keys_and_values_is_left_alone() -> None:
    """Random numbers of an ordinary size stay below OLMo's limit of 8."""
    config = OlmoConfig(hidden_size=24, num_attention_heads=3, num_key_value_heads=3, clip_qkv=8.0)
    config._attn_implementation = ATTENTION_NAME
    torch.manual_seed(0)
    model = nn.ModuleList([OlmoAttention(config, 0)])
    assert fuse_attention(model, False) == 0
    config.clip_qkv = None
    assert fuse_attention(model, False) == 1


@torch.no_grad()
def test_a_mask_goes_to_the_original_which_refuses_it() -> None:
    model = nn.ModuleList([_attention()])
    fuse_attention(model, False)
    where = tuple(torch.randn(2, 1, 3, 8))
    with pytest.raises(ValueError, match="mask of its own"):
        model[0](
            torch.randn(1, 3, 24), where, attention_mask=torch.ones(3), minillm_batch=Listener()
        )


@pytest.mark.parametrize(
    ("family", "whole"),
    [("llama", True), ("mistral", True), ("qwen2", True), ("qwen3", False), ("gemma2", False)],
)
def test_whole_models(family: str, whole: bool, tmp_path: Path) -> None:
    loaded = load_model(str(tiny_model_folder(family, tmp_path)), device="cpu", dtype="float32")
    assert (loaded.fused is not None) == whole


def test_a_decoder_that_differs_is_not_used(tmp_path: Path) -> None:
    """Granite multiplies embeddings and residuals; its loop is not the plain one."""
    folder = tiny_model_folder("granite", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "residual_multiplier": 0.5}))
    loaded = load_model(str(folder), device="cpu", dtype="float32")
    assert any(isinstance(module, FusedAttention) for module in loaded.model.modules())
    assert loaded.fused is None
    plain = decoder.FusedDecoder(loaded.model)
    assert plain.fused  # every part is; only the sum of them differs


def test_a_decoder_whose_parts_are_called_otherwise_is_not_used(tmp_path: Path) -> None:
    loaded = load_model(str(tiny_model_folder("llama", tmp_path)), device="cpu", dtype="float32")
    model: Any = loaded.model
    assert decoder.fused_decoder(model, loaded.vocab_size) is not None
    rotary = model.model.rotary_emb.forward

    def by_name_only(x: torch.Tensor, *, position_ids: torch.Tensor) -> Any:
        return rotary(x, position_ids)

    model.model.rotary_emb.forward = by_name_only
    assert decoder.fused_decoder(model, loaded.vocab_size) is None


@pytest.mark.parametrize("rows", [1, 2, 32, 33])
@torch.no_grad()
def test_a_product_is_the_same_in_both_layouts(rows: int) -> None:
    torch.manual_seed(0)
    linears = [nn.Linear(256, LEAST // 512), nn.Linear(256, LEAST // 512)]
    x = torch.randn(rows, 256)
    wanted = torch.cat([linear(x) for linear in linears], -1)
    product = side_by_side(linears, True)
    assert product is not None
    torch.testing.assert_close(product(x), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.cat([linear(x) for linear in linears], -1), wanted)
    small = Product(linears[0].weight[:8], None, True)
    torch.testing.assert_close(small(x), x @ linears[0].weight[:8].t())


def test_layers_too_wide_of_other_inputs_or_with_a_bias_here_and_there_are_not_joined() -> None:
    assert side_by_side([nn.Linear(2, 4000), nn.Linear(2, 96)], False) is None
    assert side_by_side([nn.Linear(2, 4), nn.Linear(2, 4, bias=False)], False) is None
    assert side_by_side([nn.Linear(2, 4), nn.Linear(3, 4)], False) is None


def test_long_prompts_go_to_torch_when_it_has_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(_mlp())
    fuse_mlps(model, False)
    fused = model[0]
    assert isinstance(fused, FusedMLP)
    seen: list[int] = []
    fused.original.register_forward_hook(lambda _, args, out: seen.append(args[0].shape[1]))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    with torch.no_grad():
        for tokens in (127, 128):
            fused(torch.randn(1, tokens, 24))
    assert seen == [128]
