"""Loading: what a folder gives, and clear words for everything that is not a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import VOCAB, tiny_model_folder

from minillm.execution import finding
from minillm.execution.kv_tensors import KVTensors, blocks_that_fit, bytes_per_block
from minillm.execution.loaded_model import LayerShape, ModelError
from minillm.execution.loader import load_model


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_without_tokenizer_serves_token_ids(tmp_path: Path):
    loaded = load_model(str(tiny_model_folder("llama", tmp_path)))
    assert loaded.tokenizer is None
    assert loaded.chat_template is None
    assert (loaded.device.type, loaded.dtype) == ("cpu", torch.float32)
    assert (loaded.vocab_size, loaded.max_model_len) == (VOCAB, 512)
    assert loaded.eos_token_ids == {2}
    assert loaded.layer_shapes == {0: LayerShape(2, 8, 8), 1: LayerShape(2, 8, 8)}
    assert loaded.kv_bytes_per_token == 2 * 2 * (8 + 8) * 4
    assert bytes_per_block(loaded, 16) == 16 * loaded.kv_bytes_per_token


def test_the_pocket_model_loads_by_name():
    loaded = load_model("pocket")
    assert loaded.dtype == torch.float32
    assert loaded.chat_template
    assert loaded.eos_token_ids == {loaded.tokenizer.eos_token_id}  # type: ignore[union-attr]
    assert loaded.max_model_len == 2048


def test_several_end_tokens_come_from_the_generation_config(tmp_path: Path):
    folder = tiny_model_folder("llama", tmp_path)
    edit_json(folder / "generation_config.json", eos_token_id=[2, 7])
    assert load_model(str(folder)).eos_token_ids == {2, 7}


def test_bfloat16_passes_its_own_check(tmp_path: Path):
    loaded = load_model(str(tiny_model_folder("gemma2", tmp_path)), dtype="bfloat16")
    assert loaded.dtype == torch.bfloat16
    assert loaded.kv_bytes_per_token == 2 * 2 * (8 + 8) * 2


def test_each_layer_gets_a_cache_of_its_own_shape(tmp_path: Path):
    """Gemma 4 has larger heads in its full-attention layers, deepseek another size for values."""
    gemma = load_model(str(tiny_model_folder("gemma4_text", tmp_path)))
    kv = KVTensors(gemma, num_blocks=3, block_size=4)
    assert [kv.layers[i][0].shape[-1] for i in range(4)] == [8, 16, 8, 16]
    deepseek = load_model(str(tiny_model_folder("deepseek_v2", tmp_path)))
    k, v = KVTensors(deepseek, num_blocks=3, block_size=4).layers[0]
    assert (tuple(k.shape), tuple(v.shape)) == ((3, 4, 4, 12), (3, 4, 4, 6))
    total = sum(t.numel() for pair in kv.layers.values() for t in pair) * 4
    assert total == 3 * bytes_per_block(gemma, 4)


def test_blocks_that_fit_take_a_quarter_of_free_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    loaded = load_model(str(tiny_model_folder("llama", tmp_path)))

    class Memory:
        available = 4 * 10 * bytes_per_block(loaded, 16) + 3

    monkeypatch.setattr("minillm.execution.kv_tensors.psutil.virtual_memory", lambda: Memory)
    assert blocks_that_fit(loaded, 16) == 10
    assert blocks_that_fit(loaded, 32) == 5


def test_longrope_is_served_up_to_its_original_length(tmp_path: Path):
    rope = {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
        "original_max_position_embeddings": 64,
    }
    folder = tiny_model_folder(
        "phi3", tmp_path, rope_parameters=rope, original_max_position_embeddings=64
    )
    assert load_model(str(folder)).max_model_len == 64


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("./missing", "no model folder at /"),
        ("/missing/folder", "no model folder at /missing/folder"),
        ("", "no model folder"),
        ("a b\x00c", "no model folder"),
        ("a/b/c", "no model folder"),
    ],
)
def test_a_missing_folder(name: str, says: str):
    with pytest.raises(ModelError, match=says) as raised:
        load_model(name)
    assert "'pocket'" in str(raised.value)


def test_a_hub_id_without_network(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(finding, "_hub_answers", lambda: False)
    with pytest.raises(ModelError, match=r"hub cannot be reached.*local folder, or 'pocket'"):
        load_model("nobody/no-such-model")


def test_a_folder_that_is_no_model(tmp_path: Path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(str(tmp_path))
    with pytest.raises(ModelError, match="is a file"):
        load_model(str(tmp_path / "config.json"))


def test_weights_that_are_absent_broken_or_incomplete(tmp_path: Path):
    folder = tiny_model_folder("llama", tmp_path)
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights are missing.*up_proj"):
        load_model(str(folder))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(str(folder))
    weights.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(str(folder))


@pytest.mark.parametrize(
    "settings", [{"device": "gpu"}, {"device": "cuda:9"}, {"dtype": "fp8"}, {"dtype": "int"}]
)
def test_unknown_devices_and_dtypes(settings: dict[str, Any], tmp_path: Path):
    if settings.get("device", "").startswith("cuda") and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ModelError, match=r"device|dtype"):
        load_model(str(tiny_model_folder("llama", tmp_path)), **settings)
