"""The same promises on a CUDA device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from execution.steps import request, run, scattered_tables
from tiny_models import VOCAB, tiny_model_folder

from minillm.execution.kv_tensors import KVTensors, blocks_that_fit, bytes_per_block
from minillm.execution.loader import load_model
from minillm.execution.torch_executor import TorchExecutor

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
FAMILIES = ("llama", "mistral", "gemma2", "gpt_oss", "deepseek_v2")


def outputs(folder: Path, device: str, temperature: float) -> list[list[int]]:
    loaded = load_model(str(folder), device=device, dtype="float32")
    rng = torch.Generator().manual_seed(0)
    requests = [
        request(
            i,
            torch.randint(3, VOCAB, (n,), generator=rng).tolist(),
            max_tokens=10,
            temperature=temperature,
        )
        for i, n in enumerate((33, 4, 17))
    ]
    tables, num_blocks = scattered_tables(requests, 8)
    executor = TorchExecutor(loaded, num_blocks=num_blocks, block_size=8)
    return run(executor, requests, tables)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_device_changes_no_token(family: str, temperature: float, tmp_path: Path):
    folder = tiny_model_folder(family, tmp_path)
    assert outputs(folder, "cuda", temperature) == outputs(folder, "cpu", temperature)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_passes_its_own_check(family: str, tmp_path: Path):
    folder = tiny_model_folder(family, tmp_path)
    assert load_model(str(folder), device="cuda", dtype="bfloat16").dtype == torch.bfloat16


def test_the_pocket_model_is_served_in_float32():
    assert load_model("pocket", device="cuda").dtype == torch.float32


def test_blocks_that_fit_do_fit(tmp_path: Path):
    loaded = load_model(str(tiny_model_folder("llama", tmp_path)), device="cuda")
    free, total = torch.cuda.mem_get_info()
    num_blocks = blocks_that_fit(loaded, 16, gpu_memory_utilization=0.5)
    assert 0 < num_blocks * bytes_per_block(loaded, 16) <= total * 0.5
    if free > total * 0.5:
        KVTensors(loaded, num_blocks=num_blocks, block_size=16)
