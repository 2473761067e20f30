"""What is served, by whom. Each contender is a function of the requests that gives seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from minillm.bench.engine.linear_run import linears_alone
from minillm.bench.engine.minillm_run import StepSizes, serve
from minillm.bench.engine.random_models import save_random_model
from minillm.bench.engine.requests import Request, mixed
from minillm.bench.engine.stopwatch import Seconds
from minillm.bench.engine.transformers_runs import TransformersModel
from minillm.execution.loader import load_model
from minillm.pocket import pocket_path

OWN = "minillm"
OWN_BF16 = "minillm in bf16"
CONTINUOUS = "transformers continuous batching"
STATIC = "transformers generate"
LINEARS = "its linear layers alone"
OWN_LINEARS = "linear layers alone, minillm's layout"
MIXED, POCKET, GPU = "llama-31m, 32 mixed requests", "pocket, batch of 8", "qwen3-0.6b, bf16"
STATIC_BATCH = 16
GPU_BUDGET = 4096  # tokens per step: what a large GPU computes in little more than a decode's time


Contender = Callable[[Sequence[Request]], Seconds]


@dataclass(frozen=True, slots=True)
class Case:
    """One workload and the contenders, in the order of a round. `sizes` has the steps of minillm's
    latest run."""

    name: str
    requests: list[Request]
    contenders: dict[str, Contender]
    sizes: StepSizes
    bytes_per_step: int = 0  # of weights
    bytes_per_token: int = 0  # of keys and values


@contextmanager
def cpu_mixed() -> Iterator[Case]:
    """32 requests on a random Llama of 31.6 million parameters, fp32: prompts of 16 to 256 tokens,
    answers of 16 to 128, greedy."""
    with _saved("llama-31m", "float32") as folder:
        requests = mixed(32, 8192, (16, 256), (16, 128))
        own = load_model(str(folder), device="cpu", dtype="float32")
        theirs = TransformersModel(folder, "cpu", "float32")
        sizes = StepSizes()

        def minillm(requests: Sequence[Request]) -> Seconds:
            sizes.clear()
            return serve(own, requests, sizes=sizes)

        contenders: dict[str, Contender] = {
            OWN: minillm,
            CONTINUOUS: theirs.continuous,
            STATIC: lambda requests: theirs.static(requests, STATIC_BATCH),
            LINEARS: lambda _: linears_alone(theirs.model, sizes),
            OWN_LINEARS: lambda _: linears_alone(own.model, sizes),
        }
        if cpu_has_bf16():
            half = load_model(str(folder), device="cpu", dtype="bfloat16")
            contenders[OWN_BF16] = lambda requests: serve(half, requests)
        yield Case(MIXED, requests, contenders, sizes)


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices itself."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextmanager
def cpu_pocket() -> Iterator[Case]:
    """8 requests on the bundled model, fp32: prompts of 16 tokens, answers of 128, greedy."""
    own = load_model("pocket", device="cpu", dtype="float32")
    theirs = TransformersModel(pocket_path(), "cpu", "float32")
    requests = mixed(8, own.vocab_size, (16, 16), (128, 128))
    contenders: dict[str, Contender] = {
        OWN: lambda requests: serve(own, requests),
        STATIC: lambda requests: theirs.static(requests, len(requests)),
    }
    yield Case(POCKET, requests, contenders, StepSizes())


@contextmanager
def gpu(device: torch.device, quick: bool) -> Iterator[Case]:
    """nano-vllm's benchmark on a random model of Qwen3-0.6B's shape, bf16: 256 requests (`quick`:
    64), prompts and answers of 100 to 1,024 tokens, temperature 0.6."""
    with _saved("qwen3-0.6b", "bfloat16") as folder:
        requests = nano_vllm_workload(64 if quick else 256)
        own = load_model(str(folder), device=str(device), dtype="bfloat16")
        theirs = TransformersModel(folder, str(device), "bfloat16", temperature=0.6)
        sizes = StepSizes()

        def minillm(requests: Sequence[Request]) -> Seconds:
            sizes.clear()
            return serve(
                own,
                requests,
                temperature=0.6,
                sizes=sizes,
                max_num_seqs=len(requests),
                max_num_batched_tokens=GPU_BUDGET,
            )

        yield Case(
            GPU,
            requests,
            {OWN: minillm, CONTINUOUS: theirs.continuous},
            sizes,
            sum(p.numel() * p.element_size() for p in own.model.parameters()),
            own.kv_bytes_per_token,
        )


def nano_vllm_workload(count: int) -> list[Request]:
    """The very requests of nano-vllm's bench.py."""
    return mixed(count, 10_001, (100, 1024), (100, 1024))


@contextmanager
def _saved(shape: str, dtype: str) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / shape
        save_random_model(shape, path, dtype)
        yield path
