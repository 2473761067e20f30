"""A KV cache in fp8: scales, memory, and how far it is from the exact one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from execution.steps import logits_in_steps
from tiny_models import VOCAB, tiny_model_folder

from minillm import LLM, ConfigError, SamplingParams, simulate
from minillm.build import header_of
from minillm.events import SwappedOut
from minillm.execution.kv_scales import calibrate
from minillm.execution.kv_tensors import KVTensors, bytes_per_block
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model
from minillm.kernels.fp8 import FP8, FP8_MAX
from minillm.workload import RequestSpec

GREEDY = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True)


@pytest.fixture(scope="module")
def pocket() -> LoadedModel:
    return load_model("pocket", device="cpu", dtype="float32")


def test_layers_with_heads_of_their_own_get_scales_of_their_own(tmp_path: Path):
    gemma = load_model(str(tiny_model_folder("gemma4_text", tmp_path)), device="cpu")
    scales = calibrate(gemma)
    assert set(scales) == set(gemma.layer_shapes)
    for layer, shape in gemma.layer_shapes.items():
        assert [s.shape for s in scales[layer]] == [(shape.num_kv_heads,)] * 2
    again = calibrate(gemma)
    assert all(torch.equal(a, b) for i in scales for a, b in zip(scales[i], again[i], strict=True))


@pytest.mark.parametrize("chunk", [1, 7, 40])
def test_logits_are_near_the_exact_ones(pocket: LoadedModel, chunk: int):
    texts = ("Once upon a time there was a small fox who", "Tom has 3 apples. Ann has 5 more")
    assert pocket.tokenizer is not None
    prompts = [pocket.tokenizer(text)["input_ids"] for text in texts]

    def steps(requests: list[Any]) -> list[int]:
        return [min(chunk, r.num_uncomputed_tokens) for r in requests]

    exact = torch.cat(logits_in_steps(pocket, prompts, steps, 16))
    near = torch.cat(logits_in_steps(pocket, prompts, steps, 16, calibrate(pocket)))
    spread = exact.std(-1, keepdim=True)
    error = ((near - exact) / spread).abs()
    assert 1e-4 < error.mean() < 0.05
    assert (near.argmax(-1) == exact.argmax(-1)).float().mean() > 0.9


def test_twice_the_blocks_of_half_precision_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    loaded = load_model(str(tiny_model_folder("llama", tmp_path)), device="cpu", dtype="bfloat16")
    assert 2 * bytes_per_block(loaded, 16, "fp8") == bytes_per_block(loaded, 16)

    class Memory:
        available = 4 * 10 * bytes_per_block(loaded, 16)

    monkeypatch.setattr("psutil.virtual_memory", lambda: Memory)
    for dtype, blocks in (("auto", 10), ("fp8", 20), ("fp8_e4m3", 20)):
        llm = LLM(loaded, kv_cache_dtype=dtype, max_num_seqs=512)
        assert llm.engine.config.num_blocks == blocks
        header = header_of(llm.engine, loaded)
        assert header.kv_bytes_per_token * 16 * blocks == 10 * bytes_per_block(loaded, 16)


def test_the_pool_takes_the_bytes_it_says(pocket: LoadedModel):
    kv = KVTensors(pocket, num_blocks=3, block_size=8, scales=calibrate(pocket))
    tensors = [t for pair in kv.layers.values() for t in pair]
    assert {t.dtype for t in tensors} == {FP8}
    assert sum(t.nbytes for t in tensors) == 3 * bytes_per_block(pocket, 8, "fp8")


def test_swapping_brings_back_what_was_stored(pocket: LoadedModel):
    """Little memory and much give the same answers; and nothing but preemption differs."""
    rng = torch.Generator().manual_seed(2)
    prompts = [torch.randint(0, pocket.vocab_size, (20,), generator=rng).tolist() for _ in range(6)]
    answers = []
    for blocks in (100, 7):
        llm = LLM(pocket, kv_cache_dtype="fp8", preemption="swap", block_size=8, num_blocks=blocks)
        answers.append([o.outputs[0].token_ids for o in llm.generate(prompts, GREEDY)])
    assert answers[0] == answers[1]
    assert any(isinstance(event, SwappedOut) for step in llm.trace.steps for event in step.events)


def test_values_out_of_range_are_cut_not_infinite(pocket: LoadedModel):
    scales = {i: (k * 1e-3, v * 1e-3) for i, (k, v) in calibrate(pocket).items()}
    prompt = list(range(10))
    (logits,) = logits_in_steps(pocket, [prompt], lambda _: [5], 16, scales)
    assert bool(logits.isfinite().all())
    assert scales[0][0].max() * FP8_MAX < 1


def test_an_unknown_dtype_is_refused(tmp_path: Path):
    loaded = load_model(str(tiny_model_folder("llama", tmp_path)), device="cpu")
    with pytest.raises(ConfigError, match="unknown kv_cache_dtype 'int8'"):
        LLM(loaded, kv_cache_dtype="int8")
    assert loaded.vocab_size == VOCAB


def test_simulated_time_reckons_with_it():
    specs = [RequestSpec(arrival_time=0, prompt_len=1000, output_len=50) for _ in range(8)]
    exact, fp8 = (simulate(specs, kv_cache_dtype=dtype) for dtype in ("auto", "fp8"))
    assert 2 * fp8.header.kv_bytes_per_token == exact.header.kv_bytes_per_token == 524_288
    last = [trace.steps[-1].duration for trace in (exact, fp8)]
    assert last[1] < last[0]
    big = [simulate(specs, kv_cache_dtype=d, max_num_seqs=512) for d in ("auto", "fp8")]
    assert abs(big[1].header.num_blocks / big[0].header.num_blocks - 2) < 0.01
