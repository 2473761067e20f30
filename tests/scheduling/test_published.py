"""What the papers say of their schedulers comes out, in virtual time with simple costs."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from timed_engine import Job, LinearCost, add, heavy_tailed, play, timed_engine

from minillm.engine import Engine
from minillm.events import Step
from minillm.request import Request, Status
from minillm.scheduling import Scheduler
from minillm.scheduling.batching import ByRankWhole
from minillm.scheduling.fairness import INPUT_COST, OUTPUT_COST, VirtualTokenCounter
from minillm.scheduling.feedback import FeedbackQueues
from minillm.scheduling.order import ShortestPredicted, ShortestRemaining
from minillm.scheduling.peak import predicted_peak
from minillm.scheduling.prediction import Noisy
from minillm.scheduling.preemption import LowestRankFirst

SEEDS = range(5)


def mean_completion(scheduler: Callable[[int], str | Scheduler], rate: float, count: int) -> float:
    """Mean completion time in seconds over five fixed seeds, sixteen places; steps as long as
    DistServe's profile of OPT-13B on an A100 says, 19 ms and a tenth for each token."""
    means: list[float] = []
    for seed in SEEDS:
        engine = timed_engine(
            scheduler(seed),
            LinearCost(0.019, 1e-4),
            max_num_seqs=16,
            max_num_batched_tokens=4096,
        )
        took = play(engine, heavy_tailed(seed, count, rate))
        means.append(sum(took) / len(took))
    return sum(means) / len(means)


def test_peak_formula() -> None:
    """LightLLM's past-future scheduler, ASPLOS'25, the peak memory formula: the one with 3 to
    come reaches 8 alone, but when the other ends, one step on, both hold 6 + 3 = 9."""
    assert predicted_peak([(5, 3), (2, 1)]) == predicted_peak([(2, 1), (5, 3)]) == 9
    assert predicted_peak([]) == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8))
def test_peak_formula_equals_stepping_through(entries: list[tuple[int, int]]) -> None:
    """Everyone grows by one a step; who has nothing left is gone in the next."""
    peak = 0
    for step in range(31):
        peak = max(peak, sum(held + step for held, left in entries if left >= step))
    assert predicted_peak(entries) == peak


def test_skip_join_by_prefill_time() -> None:
    """FastServe, section 4: quanta of 10, 20, 40 ms; prefills of 9, 11 and 35 ms join queues 0,
    1 and 2. Plain MLFQ puts all of them into queue 0."""
    for scheduler, queues in (("fastserve", [0, 1, 2]), ("mlfq", [0, 0, 0])):
        engine = timed_engine(scheduler, LinearCost(0.0, 1e-3))
        names = [add(engine, Job(0, prompt, 5)) for prompt in (9, 11, 35)]
        order = engine.scheduler.order
        assert isinstance(order, FeedbackQueues)
        assert [order.queue_of(name) for name in names] == queues


def test_demotion_after_the_quantum_and_a_fresh_start() -> None:
    """FastServe, algorithm 1: above the quantum after a step → one queue down, time from 0."""
    engine = timed_engine("mlfq", LinearCost(0.004))
    name = add(engine, Job(0, 1, 30))
    order = engine.scheduler.order
    assert isinstance(order, FeedbackQueues)
    queues: list[int] = []
    for _ in range(20):
        engine.step()
        queues.append(order.queue_of(name))
    # 4 + 4 + 4 > 10 ms; then 6 steps of 4 ms > 20; then 11 > 40
    assert queues == [0] * 2 + [1] * 6 + [2] * 11 + [3]


def test_multi_level_feedback_beats_arrival_order() -> None:
    """FastServe, section 6: on heavy-tailed lengths and a batch of 16, mean completion time falls
    from FCFS to (skip-join) MLFQ to SRPT with an oracle."""
    fcfs, mlfq, skip_join = (
        mean_completion(lambda seed, name=name: name, 8, 100)
        for name in ("orca", "mlfq", "fastserve")
    )
    oracle = mean_completion(
        lambda seed: Scheduler(
            batching=ByRankWhole(), order=ShortestRemaining(), preemption=LowestRankFirst()
        ),
        8,
        100,
    )
    assert fcfs > mlfq > oracle
    assert fcfs > skip_join > oracle


@pytest.mark.xfail(
    strict=True,
    reason="not reproduced: skip-join is 0-3 % slower than plain MLFQ here. After its prefill a "
    "long prompt stays in a deep queue, where plain MLFQ has it only one queue down.",
)
def test_skip_join_beats_plain_feedback() -> None:
    """FastServe, section 6: skip-join MLFQ completes sooner on average than plain MLFQ."""
    mlfq, skip_join = (
        mean_completion(lambda seed, name=name: name, 8, 100) for name in ("mlfq", "fastserve")
    )
    assert mlfq > skip_join


def test_shortest_first_gains_as_predictions_improve() -> None:
    """Learning-to-rank, NeurIPS'24: completion time falls as Kendall's τ rises."""
    lengths = [job.output for seed in SEEDS for job in heavy_tailed(seed, 100, 12)]

    def shortest_first(seed: int, tau: float) -> Scheduler:
        return Scheduler(order=ShortestPredicted(Noisy(lengths, tau=tau, seed=seed)))

    means = [
        mean_completion(lambda seed, tau=tau: shortest_first(seed, tau), 12, 100)
        for tau in (0.0, 0.33, 0.67, 1.0)
    ]
    assert means == sorted(means, reverse=True)


# ---- fairness ----------------------------------------------------------------------------------


class Service:
    """Service that each client has had: prompt tokens computed, and twice those generated."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.had: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._open: list[Request] = []

    def add(self, job: Job) -> None:
        name = add(self.engine, job)
        self._open += [r for r in self.engine.waiting if r.request_id == name]
        self._seen[name] = 0.0

    def count(self) -> dict[str, float]:
        for request in self._open:
            name, client = request.request_id, request.client or ""
            done = min(request.num_computed_tokens, request.num_prompt_tokens)
            cost = INPUT_COST * done + OUTPUT_COST * request.num_output_tokens
            self.had[client] = self.had.get(client, 0) + cost - self._seen[name]
            self._seen[name] = cost
        self._open = [r for r in self._open if r.status is not Status.FINISHED]
        return self.had

    def backlogged(self) -> set[str]:
        return {request.client or "" for request in self.engine.waiting}


@given(
    data=st.data(),
    memory=st.integers(40, 200),
    max_num_seqs=st.integers(1, 12),
    clients=st.integers(2, 4),
)
@settings(max_examples=40, deadline=None)
def test_vtc_bounds_the_service_gap(
    data: st.DataObject, memory: int, max_num_seqs: int, clients: int
) -> None:
    """VTC, OSDI'24, theorem 4.4: however long two clients are backlogged, their service over that
    time never differs by more than 2 · max(w_in · L_in, w_out · M)."""
    lengths = st.tuples(st.integers(1, 10), st.integers(1, 10))
    kinds = [data.draw(lengths) for _ in range(clients)]
    engine = timed_engine("vtc", num_blocks=memory, max_num_seqs=max_num_seqs)
    service = Service(engine)
    for index in range(25):
        for client, (prompt, output) in enumerate(kinds):
            vary = 1 + (index * 7 + client) % 2
            service.add(Job(0, prompt * vary, output * vary, f"c{client}"))
    longest = max(request.num_prompt_tokens for request in engine.waiting)
    bound = 2 * max(INPUT_COST * longest, OUTPUT_COST * memory)
    gaps: dict[tuple[str, str], list[float]] = {}
    while engine.has_unfinished:
        engine.step()
        had, queued = service.count(), sorted(service.backlogged())
        for one in queued:
            for other in queued:
                gaps.setdefault((one, other), []).append(had.get(one, 0) - had.get(other, 0))
    for gap in gaps.values():
        assert max(gap) - min(gap) <= bound


def test_vtc_shares_by_weight() -> None:
    """A client of weight 2 is served twice as much while both are backlogged."""
    order = VirtualTokenCounter({"gold": 2.0})
    engine = timed_engine(Scheduler(order=order), max_num_seqs=4)
    service = Service(engine)
    for _ in range(200):
        service.add(Job(0, 10, 10, "gold"))
        service.add(Job(0, 10, 10, "tin"))
    for _ in range(250):
        engine.step()
        service.count()
    assert service.backlogged() == {"gold", "tin"}
    assert service.had["gold"] / service.had["tin"] == pytest.approx(2, rel=0.1)


def test_an_idle_client_saves_nothing_up() -> None:
    """VTC, algorithm 2, the lift: with others queued to their smallest counter; with nobody
    queued to the counter of the client who left the queue last; and never down."""
    order = VirtualTokenCounter()
    engine = timed_engine(Scheduler(order=order), max_num_seqs=1)
    add(engine, Job(0, 10, 5, "a"))
    while engine.has_unfinished:
        engine.step()
    assert order.counters == {"a": 10 + 2 * 5}
    add(engine, Job(0, 10, 5, "b"))  # nobody is queued; a left last
    assert order.counters["b"] == 20
    add(engine, Job(0, 4, 5, "a"))
    engine.step()  # a and b tie at 20: the older, b, goes first
    assert order.counters == {"a": 20, "b": 20 + 10 + 2}
    add(engine, Job(0, 10, 5, "c"))  # a is queued, b runs
    assert order.counters["c"] == 20
    add(engine, Job(0, 10, 5, "b"))  # lifted to the smallest, 20, it stays at 32
    assert order.counters["b"] == 32


# ---- starvation --------------------------------------------------------------------------------


def longest_wait(scheduler: str) -> float:
    """One long request, and short ones for eight seconds without a break; two places, steps of
    10 ms. The longest time in seconds that the long one goes without service."""
    engine = timed_engine(scheduler, LinearCost(0.010), max_num_seqs=2)
    long = Job(0.0, 30, 100, priority=1)
    short = [Job(0.001 + 0.02 * index, 5, 5) for index in range(400)]
    last = gap = 0.0
    progress = 0

    def look(step: Step) -> None:
        nonlocal last, gap, progress
        mine = next((r for r in (*engine.waiting, *engine.running) if r.request_id == "0"), None)
        now = engine.clock.now / 1e9
        if mine is None or mine.num_output_tokens > progress:
            if mine is not None or progress < long.output:
                gap = max(gap, now - last)
            last, progress = now, long.output if mine is None else mine.num_output_tokens

    engine.hooks.on("step", look)
    play(engine, [long, *short])
    return gap


@pytest.mark.parametrize("scheduler", ["priority", "srtf", "mlfq"])
def test_the_long_one_starves_where_nothing_is_promised(scheduler: str) -> None:
    assert longest_wait(scheduler) > 6


@pytest.mark.parametrize(
    ("scheduler", "promise"),
    [("fastserve", 3.0), ("ltr", 1.0), ("sarathi", 0.0), ("vllm", 0.0), ("orca", 0.0)],
)
def test_nobody_starves_where_the_policy_promises_it(scheduler: str, promise: float) -> None:
    """FastServe promotes after 3 s without service, learning-to-rank after a hundred steps of
    10 ms; in order of arrival who runs goes on."""
    assert longest_wait(scheduler) <= promise + 0.1
