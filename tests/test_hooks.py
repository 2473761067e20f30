"""The attention hook: what a real model reads, told only while somebody listens."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import tiny_model_folder

from minillm import LLM, SamplingParams
from minillm.execution.batch import AttentionRead

SAMPLING = SamplingParams(temperature=0, max_tokens=3, ignore_eos=True)


def llm(family: str, tmp_path: Path) -> LLM:
    folder = tiny_model_folder(family, tmp_path)
    return LLM(str(folder), device="cpu", block_size=4, num_blocks=40, max_num_batched_tokens=8)


def test_attention_tells_each_layers_blocks(tmp_path: Path) -> None:
    engine = (served := llm("llama", tmp_path)).engine
    reads: list[AttentionRead] = []
    off = engine.hooks.on("attention", reads.append)
    served.generate([5, 6, 7, 8, 9, 10, 11, 12, 13, 14], SAMPLING)
    # two prefill chunks of 8 and 2 tokens, then decodes at 11 and 12 tokens, in two layers
    assert [(r.layer, r.kernel) for r in reads] == [(0, "torch"), (1, "torch")] * 4
    tables = [r.blocks["0"] for r in reads[::2]]
    assert [len(table) for table in tables] == [2, 3, 3, 3]
    assert all(len(set(table)) == len(table) for table in tables)
    off()
    served.generate([1, 2], SAMPLING)
    assert len(reads) == 8


def test_a_sliding_window_reads_only_what_it_reaches(tmp_path: Path) -> None:
    engine = (served := llm("mistral", tmp_path)).engine  # a window of 7 tokens
    reads: list[AttentionRead] = []
    engine.hooks.on("attention", reads.append)
    served.generate(list(range(3, 23)), SAMPLING)
    last = reads[-1].blocks["0"]  # the query at position 21 sees 15..21: blocks 3, 4 and 5
    assert len(last) == 3


def test_a_raising_attention_hook_is_dropped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = llm("llama", tmp_path)

    def bad(read: AttentionRead) -> None:
        raise RuntimeError("hook")

    served.engine.hooks.on("attention", bad)
    (output,) = served.generate([1, 2, 3], SAMPLING)
    assert len(output.outputs[0].token_ids) == 3
    assert "was dropped" in caplog.text
