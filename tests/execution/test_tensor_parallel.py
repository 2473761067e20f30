"""One model over two processes: the same answers, the same decisions, and one clean end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from execution.split_runs import PREEMPTIONS, SAMPLE
from execution.steps import request
from tiny_models import FAMILIES, tiny_config
from typer.testing import CliRunner

from minillm import LLM
from minillm.cli import cli
from minillm.config import ConfigError
from minillm.execution.batch import Row
from minillm.execution.loaded_model import ModelError
from minillm.execution.loader import load_model
from minillm.execution.packing import pack
from minillm.execution.tensor_parallel.loading import refuse_split
from minillm.execution.tensor_parallel.rows import RowReceiver, RowSender
from minillm.request import Request

HERE = Path(__file__).parent
PATIENCE = 120  # seconds until a process that should have ended has not
NO_PLAN = ("gpt2", "gpt_bigcode", "gpt_oss", "opt")
ENVIRONMENT = {
    **os.environ,
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join((str(HERE.parent), str(HERE.parent.parent))),
}


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process with this command line; killed at the end, should it still be there."""
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE)


def output_of(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=PATIENCE * 4)
    assert process.returncode == 0, err
    return out


def split_runs(tmp: Path, *what: str) -> dict[str, Any]:
    """By name, what the runs of `split_runs.py` saw."""
    with started(HERE / "split_runs.py", tmp, *what) as process:
        runs = [json.loads(line) for line in output_of(process).splitlines()]
    return {run["run"]: run for run in runs}


def check_families(tmp: Path, families: tuple[str, ...]) -> dict[str, Any]:
    runs = split_runs(tmp, "families", *families)
    for family in families:
        for preemption in PREEMPTIONS:
            run = runs[f"{family} {preemption}"]
            split, whole = run["split"], run["whole"]
            assert split["greedy"] == whole["greedy"], family
            assert split["random"] == whole["random"], family
            for got, want in zip(split["logprobs"], whole["logprobs"], strict=True):
                assert got == pytest.approx(want, rel=0, abs=1e-4), family
            seen = run["happened"]
            assert seen["preempted"] > 0, family
            assert (seen["swapped"] > 0) == (preemption == "swap"), family
            assert seen["chunks"] > 7, family  # more than there are sequences
            assert seen["cached"] > 0, family
    assert runs["closed"]["codes"] == [0]
    return runs


def test_two_processes_answer_as_one(tmp_path: Path) -> None:
    """Greedy, random and log-probabilities, with chunks, prefix hits, preemption and swap."""
    runs = check_families(tmp_path, SAMPLE)
    for family in SAMPLE:
        assert runs[f"{family} swap"]["kv_heads"] == [2, 1]
    header = runs["header"]
    assert header["tensor_parallel"] == [2, 1]
    assert header["device"] == ["2 × cpu", "cpu"]
    split, whole = header["kv_bytes_per_token"]
    assert "differ from eager attention" in runs["wrong plan"]["error"]
    assert split == whole == 2 * 2 * (8 + 8) * 4  # layers, heads, K and V, fp32: over all ranks


@pytest.mark.full
def test_every_family_with_a_plan(tmp_path: Path) -> None:
    check_families(tmp_path, tuple(f for f in FAMILIES if f not in (*NO_PLAN, *SAMPLE)))


def test_a_failure_of_one_rank_ends_all(tmp_path: Path) -> None:
    with started(HERE / "split_runs.py", tmp_path, "failures") as process:
        assert process.stdout is not None
        runs = {}
        while "ready" not in runs:
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            run = json.loads(line)
            runs[run["run"]] = run
        rank_0, rank_1 = (psutil.Process(pid) for pid in runs["ready"]["pids"])
        assert rank_0.pid == process.pid
        rank_0.kill()  # whoever waits for its orders must notice
        process.wait(PATIENCE)
        rank_1.wait(PATIENCE)
    failed = runs["raises in a forward"]
    assert len(failed["error"]) == 1
    assert "ShardError: rank 1 of 2 failed: IndexError" in failed["error"][0]
    assert failed["codes"] == [1]  # of its own accord
    assert "have ended" in failed["again"]


PROMPT = "What is 3 plus 4?"


def test_the_shell_answers_as_one_process_does() -> None:
    command = ("-m", "minillm", "generate", PROMPT, "--tensor-parallel", 2, "--threads", 1)
    with started(*command) as process:
        said = output_of(process)
    alone = CliRunner().invoke(cli, ["generate", PROMPT, "--device", "cpu", "--threads", "1"])
    assert said.strip()
    assert said == alone.stdout


@pytest.mark.full
def test_under_torchrun_the_processes_are_there_already() -> None:
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)
    command = ("-m", "minillm", "generate", PROMPT, "--tensor-parallel", 2, "--threads", 1)
    with started(*torchrun, *command) as process:
        said = output_of(process)
    alone = CliRunner().invoke(cli, ["generate", PROMPT, "--device", "cpu", "--threads", "1"])
    assert said == alone.stdout


@pytest.mark.full
def test_torchrun_with_another_number_of_processes_is_refused() -> None:
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 1)
    command = ("-m", "minillm", "generate", PROMPT, "--tensor-parallel", 2)
    with started(*torchrun, *command) as process:
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "torchrun started 1 processes" in err


@pytest.mark.full
def test_ctrl_c_ends_every_process() -> None:
    command = ("-m", "minillm", "generate", "Once upon a time", "--raw", "--max-tokens", 400)
    with started(*command, "--tensor-parallel", 2, "--threads", 1) as process:
        assert process.stdout is not None
        assert process.stdout.read(1)  # the first words: it is in the middle
        (rank_1,) = psutil.Process(process.pid).children()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) != 0
        rank_1.wait(PATIENCE)


# ---- refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_sizes_that_are_none(size: Any) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        refuse_split("m", tiny_config("llama"), size, torch.device("cpu"))


def test_heads_that_do_not_divide() -> None:
    with pytest.raises(ModelError, match="4 attention heads and 2 KV heads; tensor_parallel=4"):
        load_model("pocket", tensor_parallel=4)


@pytest.mark.parametrize("family", NO_PLAN)
def test_families_without_a_plan(family: str) -> None:
    with pytest.raises(ModelError, match="no plan for splitting"):
        refuse_split("m", tiny_config(family), 2, torch.device("cpu"))


def test_more_ranks_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ModelError, match="as many GPUs; torch sees 1"):
        refuse_split("m", tiny_config("llama"), 2, torch.device("cuda"))


def test_one_gpu_by_number() -> None:
    with pytest.raises(ModelError, match="names one GPU"):
        refuse_split("m", tiny_config("llama"), 2, torch.device("cuda:1"))


def test_the_cpu_beside_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    with pytest.raises(ModelError, match="CUDA_VISIBLE_DEVICES=''"):
        refuse_split("m", tiny_config("llama"), 2, torch.device("cpu"))


def test_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ModelError, match="needs Linux"):
        refuse_split("m", tiny_config("llama"), 2, torch.device("cpu"))


def test_a_model_that_is_loaded_already() -> None:
    with pytest.raises(ConfigError, match="load_model"):
        LLM(load_model("pocket", device="cpu"), tensor_parallel=2)


# ---- what is told of a batch ------------------------------------------------------------------


class Batches:
    """Random batches as an engine makes them: chunks, decodes, pauses, preemptions, new tables."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.requests: list[Request] = []
        self.tables: dict[str, list[int]] = {}

    def next(self) -> list[Row]:
        rng = self.rng
        if len(self.requests) < 4:
            new = request(len(self.tables), [rng.randrange(9) for _ in range(rng.randint(1, 30))])
            self.requests.append(new)
            self.tables[new.request_id] = rng.sample(range(100), 16)
        rows = []
        for each in self.requests:
            if rng.random() < 0.1:  # preempted, or its last block copied
                each.num_computed_tokens = rng.choice((0, each.num_computed_tokens))
                self.tables[each.request_id] = rng.sample(range(100), 16)
            if rng.random() < 0.8:
                count = rng.randint(1, min(9, each.num_uncomputed_tokens))
                end = -(-(each.num_computed_tokens + count) // 4)
                rows.append(Row(each, count, self.tables[each.request_id][:end]))
        return rows

    def done(self, rows: list[Row]) -> None:
        for row in rows:
            each = row.request
            each.num_computed_tokens += row.num_new_tokens
            if not each.num_uncomputed_tokens:
                each.output_token_ids.append(self.rng.randrange(9))
                each.num_output_tokens += 1
            if each.num_output_tokens > 9:
                self.requests.remove(each)


@pytest.mark.parametrize("seed", range(5))
def test_the_other_ranks_have_the_same_batch(seed: int) -> None:
    batches, sender, receiver = Batches(seed), RowSender(), RowReceiver()
    told = compared = 0
    for _ in range(200):
        rows = batches.next()
        if rows:
            updates = sender.updates(rows)
            told += sum(len(update.tokens) for update in updates)
            compared += sum(row.request.num_tokens for row in rows)
            want = pack(rows, 4, torch.device("cpu"))
            got = pack(receiver.rows(updates), 4, torch.device("cpu"))
            for name in ("input_ids", "position_ids", "slot_mapping", "logit_rows"):
                assert torch.equal(getattr(got, name), getattr(want, name)), name
            assert got.sampling_rows == want.sampling_rows
            batches.done(rows)
    assert told < compared / 2  # mostly what is new, and not everything again
