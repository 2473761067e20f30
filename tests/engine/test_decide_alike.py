"""Real and simulated decide alike: one workload, steps as long, and every record is the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings
from tiny_models import tiny_model_folder

from minillm import EngineConfig, SamplingParams
from minillm.clock import VirtualClock
from minillm.engine import Engine
from minillm.events import Copied, Event, Finished, Forked, Preempted, Step, SwappedIn
from minillm.execution.batch import Executor, Result, Row
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model
from minillm.execution.simulated import SimulatedExecutor
from minillm.execution.torch_executor import TorchExecutor
from minillm.moves import NO_MOVES, BlockMoves
from minillm.scheduling import SYSTEMS, make_scheduler
from minillm.workload import RequestSpec, WorkloadDriver

VOCAB = 20_000  # so many that no two requests write the same by chance
BYTES_PER_BLOCK = 1000
MEMORIES: dict[str, dict[str, Any]] = {
    "paged": {"kv_cache": "paged", "block_size": 4},
    "paged-uncached": {"kv_cache": "paged", "block_size": 4, "enable_prefix_caching": False},
    "token": {"kv_cache": "token", "enable_prefix_caching": True},
    **{
        f"contiguous-{reserve}": {"kv_cache": "contiguous", "reserve": reserve, "block_size": 4}
        for reserve in ("max", "pow2", "oracle")
    },
}


class Costs:
    """Steps and transfers of uneven lengths, in seconds."""

    def step_seconds(self, batch: Sequence[tuple[int, int]]) -> float:
        return 1e-3 + sum(3e-5 * new + 1e-6 * computed for new, computed in batch)

    def transfer_seconds(self, num_bytes: float) -> float:
        return num_bytes * 2e-7


class TimedExecutor:
    """Computes with the model; lasts as long as the simulation says."""

    def __init__(self, real: Executor) -> None:
        self.real = real
        self.simulated = SimulatedExecutor(Costs(), BYTES_PER_BLOCK)

    def execute(self, rows: Sequence[Row], moves: BlockMoves = NO_MOVES) -> Result:
        times = self.simulated.execute(rows, moves)
        result = self.real.execute(rows, moves)
        result.seconds, result.transfer_seconds = times.seconds, times.transfer_seconds
        return result


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tiny_model_folder("llama", tmp_path_factory.mktemp("llama"), vocab_size=VOCAB)
    return load_model(str(folder), device="cpu", dtype="float32")


def recorded(
    workload: Sequence[RequestSpec], scheduler: str, real: LoadedModel | None, **asked: Any
) -> tuple[list[Step], tuple[Event, ...]]:
    """The steps of a run, and what happened after the last."""
    policy = make_scheduler(scheduler)
    config = EngineConfig.from_kwargs(**asked).resolve(chunked=policy.chunked, model_max_len=96)
    executor: Any = SimulatedExecutor(Costs(), BYTES_PER_BLOCK)
    if real is not None:
        blocks = {n: getattr(config, n) for n in ("num_blocks", "block_size", "num_cpu_blocks")}
        executor = TimedExecutor(TorchExecutor(real, **blocks))
    engine = Engine(
        executor,
        policy,
        config,
        clock=VirtualClock(),
        vocab_size=VOCAB,
        estimate=Costs().step_seconds,
    )
    steps: list[Step] = []
    engine.hooks.on("step", steps.append)
    driver = WorkloadDriver(engine, workload)
    while not driver.finished:
        driver.step()
    engine.kv_cache.check()
    return [_comparable(step) for step in steps], engine.pending_events


def _comparable(step: Step) -> Step:
    """Without the tokens, which only a model has; and an answer that was given its length ends by
    "length" where a model writes it, and by "stop" where the length is that of the truth."""
    after = tuple(
        Finished(event.id, "end") if isinstance(event, Finished) else event for event in step.after
    )
    return msgspec.structs.replace(step, tokens={}, text={}, after=after)


specs = st.builds(
    lambda gap, own, output, prefix, priority, client, n: (
        gap,
        RequestSpec(
            prompt_len=own + (prefix[1] if prefix else 0),
            output_len=output,
            max_tokens=output,
            prefix_id=prefix[0] if prefix else None,
            prefix_len=prefix[1] if prefix else None,
            priority=priority,
            client=client,
            # So hot that all tokens are alike probable: no two answers are the same.
            sampling=SamplingParams(n=n, temperature=1000.0),
        ),
    ),
    gap=st.sampled_from([0.0, 0.0, 0.001, 0.004, 0.03]),
    own=st.integers(2, 24),
    output=st.integers(1, 12),
    prefix=st.sampled_from([None, ("a", 6), ("a", 12), ("b", 9)]),
    priority=st.integers(0, 2),
    client=st.sampled_from(["x", "y"]),
    n=st.sampled_from([1, 1, 1, 2, 3]),
)


@st.composite
def workloads(draw: st.DrawFn) -> list[RequestSpec]:
    now, workload = 0.0, []
    for gap, spec in draw(st.lists(specs, min_size=2, max_size=7)):
        now += gap
        fields = {name: getattr(spec, name) for name in spec.__slots__}
        workload.append(RequestSpec(**{**fields, "arrival_time": now}))
    return workload


def settings_for(
    memory: str, slots: int, cpu_slots: int | None, budget: int, seats: int
) -> dict[str, Any]:
    """Those of the engine; memory in tokens."""
    asked = dict(MEMORIES[memory], max_num_batched_tokens=budget, max_num_seqs=seats)
    size = asked.get("block_size", 1)
    asked["num_blocks"] = slots // size
    if cpu_slots is not None:
        asked |= {"preemption": "swap", "num_cpu_blocks": cpu_slots // size}
    return asked


CROWD = [
    RequestSpec(
        arrival_time=number * 1e-3,
        prompt_len=10 + number,
        output_len=14,
        max_tokens=14,
        priority=-number,
        sampling=SamplingParams(n=2 if number == 1 else 1, temperature=1000.0),
    )
    for number in range(5)
]


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("turn", [0, 1], ids=["half", "other-half"])
def test_every_record_is_the_same(memory: str, turn: int, loaded: LoadedModel) -> None:
    seen: set[type] = set()
    systems = list(SYSTEMS)[turn::2]

    def compare(workload: list[RequestSpec], scheduler: str, asked: dict[str, Any]) -> None:
        simulated, simulated_rest = recorded(workload, scheduler, None, **asked)
        real, real_rest = recorded(workload, scheduler, loaded, **asked)
        for mine, theirs in zip(real, simulated, strict=False):
            assert mine == theirs
        assert len(real) == len(simulated)
        assert real_rest == simulated_rest
        seen.update(type(event) for step in real for event in (*step.events, *step.after))

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(
        workload=workloads(),
        scheduler=st.sampled_from(systems),
        slots=st.integers(56, 130),
        cpu_slots=st.sampled_from([None, 24, 160]),
        budget=st.sampled_from([40, 64]),
        seats=st.integers(2, 6),
    )
    def check(
        workload: list[RequestSpec],
        scheduler: str,
        slots: int,
        cpu_slots: int | None,
        budget: int,
        seats: int,
    ) -> None:
        compare(workload, scheduler, settings_for(memory, slots, cpu_slots, budget, seats))

    check()
    for scheduler in systems:  # all at once in too little memory, whatever was drawn above
        compare(CROWD, scheduler, settings_for(memory, 64, 120, 64, 5))
    assert {Forked, Preempted} <= seen
    assert "contiguous" in memory or SwappedIn in seen
    assert not memory.startswith("paged") or Copied in seen
