"""What a decode step costs beside the model: deciding, preparing the batch, applying the tokens.

A real engine, scheduler and block manager run n sequences; the executor prepares the batch as for
a model, computes nothing and answers at once. In processor time of the engine's thread.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from minillm.clock import WallClock
from minillm.config import EngineConfig
from minillm.costs import get_hardware, get_model
from minillm.costs.roofline import lm_head, operators
from minillm.engine import Engine
from minillm.execution.batch import Result, Row, Sampled
from minillm.execution.block_tables import BlockTables
from minillm.execution.packing import pack
from minillm.moves import NO_MOVES, BlockMoves
from minillm.request import SamplingParams
from minillm.scheduling import Scheduler
from minillm.scheduling.plan import Schedule

CONTEXT = 843  # tokens per sequence: the mean of nano-vllm's workload, halfway through its answers
RUNNING = (64, 256, 1024)
JUDGED = 256
GOAL = 0.1  # of a decode step
FLAT = 1.25  # per request, at 1,024 running over 256
MODEL, HARDWARE = "qwen3-0.6b", "h200-sxm"
_BLOCK = 16


@dataclass(frozen=True, slots=True)
class StepCost:
    """Medians over steps of `running` decodes, seconds: deciding who runs; preparing the batch; and
    the whole of `Engine.step`, which also applies the tokens and makes the record."""

    running: int
    scheduling: float
    preparation: float
    whole: float

    @property
    def judged(self) -> float:
        """Scheduler and batch preparation."""
        return self.scheduling + self.preparation

    def plain(self) -> dict[str, Any]:
        return {
            "running": self.running,
            "scheduling_us": self.scheduling * 1e6,
            "preparation_us": self.preparation * 1e6,
            "whole_step_us": self.whole * 1e6,
            "judged_us_per_request": self.judged / self.running * 1e6,
            "of_decode_step": self.judged / decode_step_seconds(self.running),
        }


class TimedScheduler(Scheduler):
    """The default policy; `seconds` is what its latest decision took."""

    seconds = 0.0

    def schedule(self, *args: Any, **kwargs: Any) -> Schedule:
        began = time.thread_time()
        decided = super().schedule(*args, **kwargs)
        self.seconds = time.thread_time() - began
        return decided


class Preparer:
    """An executor that packs the batch and makes up the tokens."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._tables = BlockTables()

    def execute(self, rows: Sequence[Row], moves: BlockMoves = NO_MOVES) -> Result:
        began = time.thread_time()
        pack(rows, _BLOCK, torch.device("cpu"), self._tables)
        self.seconds = time.thread_time() - began
        return Result([Sampled(7) if row.samples else None for row in rows])


def measure_step(running: int, steps: int, context: int = CONTEXT) -> StepCost:
    """The cost of a step of `running` decodes of about `context` tokens each."""
    policy, executor = TimedScheduler(), Preparer()
    longest = context + 2 * steps
    blocks = running * -(-longest // _BLOCK) + running
    config = EngineConfig.from_kwargs(
        block_size=_BLOCK,
        num_blocks=blocks,
        max_num_seqs=running,
        max_num_batched_tokens=running * context,  # all prompts in one step
        max_model_len=longest,
        enable_prefix_caching=True,
    ).resolve(chunked=policy.chunked, model_max_len=longest)
    engine = Engine(executor, policy, config, clock=WallClock(), vocab_size=1 << 16)
    rng = random.Random(0)
    sampling = SamplingParams(temperature=0, max_tokens=2 * steps, ignore_eos=True)
    for _ in range(running):
        engine.add_request([rng.randrange(1 << 16) for _ in range(context)], sampling)
    while engine.waiting or any(not request.in_decode for request in engine.running):
        engine.step()
    assert len(engine.running) == running
    found: list[tuple[float, float, float]] = []
    for _ in range(steps):
        began = time.thread_time()
        engine.step()
        found.append((policy.seconds, executor.seconds, time.thread_time() - began))
    return StepCost(running, *(statistics.median(each) for each in zip(*found, strict=True)))


def decode_step_seconds(running: int, context: int = CONTEXT) -> float:
    """A decode step of `MODEL` on one `HARDWARE` at the roofline: full peak and bandwidth, fused
    attention, bf16. No machine is faster, so no share of it is flattering."""
    shape, hardware = get_model(MODEL), get_hardware(HARDWARE)
    layer = operators(shape, "decode", batch=running, seq_len=context, fused=True)
    head = lm_head(shape, running).seconds(hardware)
    return shape.num_layers * sum(each.seconds(hardware) for each in layer) + head
