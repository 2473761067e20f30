"""Which backend computes, and what one hears who asks for the impossible. Not interpreted."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from minillm.config import ConfigError
from minillm.kernels import backends, choose_backend

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def _not_interpreted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


def test_auto_takes_triton_where_it_runs(monkeypatch: pytest.MonkeyPatch):
    assert choose_backend("auto", CUDA) == choose_backend("triton", CUDA) == "triton"
    assert choose_backend("torch", CUDA) == "torch"
    assert choose_backend("auto", CPU) == choose_backend("auto", torch.device("meta")) == "torch"
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert choose_backend("auto", CPU) == choose_backend("triton", CPU) == "triton"
    assert choose_backend("torch", CPU) == "torch"


def test_a_cpu_without_the_interpreter_cannot_run_triton():
    with pytest.raises(ConfigError, match=r"'triton' cannot run here: .*'cpu'.*TRITON_INTERPRET=1"):
        choose_backend("triton", CPU)


def test_without_the_triton_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(backends, "find_spec", lambda _: None)
    assert choose_backend("auto", CUDA) == "torch"
    with pytest.raises(ConfigError, match="triton package is not installed"):
        choose_backend("triton", CUDA)


def test_triton_is_imported_when_it_is_used():
    program = "import sys, minillm.kernels; print('triton' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
