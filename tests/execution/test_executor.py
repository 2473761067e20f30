"""The executors' own contract: packing, results, settings, simulated time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from execution.steps import poisoned, request
from tiny_models import tiny_model_folder

from minillm.config import ConfigError
from minillm.execution.batch import Row
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model
from minillm.execution.packing import pack
from minillm.execution.simulated import SimulatedExecutor
from minillm.execution.torch_executor import TorchExecutor


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(str(tiny_model_folder("llama", tmp_path_factory.mktemp("llama"))))


def test_rows_are_packed_back_to_back():
    decode, chunk = request(0, [10, 11, 12]), request(1, [20, 21, 22, 23, 24, 25])
    decode.output_token_ids, decode.num_output_tokens = [13, 14], 2
    decode.num_computed_tokens = 4
    chunk.num_computed_tokens = 1
    rows = [Row(decode, 1, [7, 3, 9]), Row(chunk, 4, [5, 0, 2])]
    batch = pack(rows, 2, torch.device("cpu"))
    assert batch.input_ids.tolist() == [[14, 21, 22, 23, 24]]
    assert batch.position_ids.tolist() == [[4, 1, 2, 3, 4]]
    assert batch.slot_mapping.tolist() == [18, 11, 0, 1, 4]
    assert batch.block_tables.tolist() == [[7, 3, 9], [5, 0, 2]]
    assert batch.seq_lens.tolist() == [5, 5]
    assert batch.query_start_loc.tolist() == [0, 1, 5]
    assert batch.sampling_rows == [0]
    assert batch.logit_rows.tolist() == [0]


def test_a_chunk_over_prompt_and_output_is_recomputed_in_one_go():
    r = request(0, [10, 11, 12])
    r.output_token_ids, r.num_output_tokens = [13, 14], 2
    r.num_computed_tokens = 2
    batch = pack([Row(r, 3, [0, 1])], 4, torch.device("cpu"))
    assert batch.input_ids.tolist() == [[12, 13, 14]]
    assert batch.logit_rows.tolist() == [2]


def test_only_rows_that_are_complete_sample(llama: LoadedModel):
    executor = TorchExecutor(llama, num_blocks=8, block_size=4)
    poisoned(executor.kv)
    half, whole = request(0, [5] * 6), request(1, [6] * 3)
    result = executor.execute([Row(half, 4, [0, 1]), Row(whole, 3, [2])])
    assert result.sampled[0] is None
    assert result.sampled[1] is not None
    half.num_computed_tokens = 4
    assert executor.execute([Row(half, 1, [0, 1])]).sampled == [None]
    half.num_computed_tokens = 5
    assert executor.execute([Row(half, 1, [0, 1])]).sampled[0] is not None


def test_settings_are_checked(llama: LoadedModel):
    with pytest.raises(ConfigError, match=r"attention_backend 'tortch'.*Did you mean 'torch'"):
        TorchExecutor(llama, num_blocks=8, block_size=4, attention_backend="tortch")


class Cost:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.seen: list[tuple[int, int]] = []

    def step_seconds(self, batch: Sequence[tuple[int, int]]) -> float:
        self.seen = list(batch)
        return self.seconds


def test_simulated_steps_cost_what_the_model_says():
    cost = Cost(0.25)
    half, whole = request(0, [5] * 6), request(1, [6] * 3)
    whole.num_computed_tokens = 1
    result = SimulatedExecutor(cost).execute([Row(half, 4, []), Row(whole, 2, [])])
    assert cost.seen == [(4, 0), (2, 1)]
    assert result.seconds == 0.25
    assert [s and s.token_id for s in result.sampled] == [None, 0]


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_cost_that_is_no_duration_is_an_error(seconds: float):
    with pytest.raises(ValueError, match="step_seconds"):
        SimulatedExecutor(Cost(seconds)).execute([Row(request(0, [1]), 1, [])])


def test_simulating_imports_no_torch():
    code = "import minillm.execution.simulated, sys; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
