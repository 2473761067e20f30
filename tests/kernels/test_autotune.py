"""Choosing tiles without a GPU: measurements are given, time is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from minillm.kernels import tiles as tiles_module
from minillm.kernels.autotune import NOISE, candidates, pick
from minillm.kernels.tiles import KINDS, AttentionShape, Gpu, Kind, Tiles, choose_tiles, rule_tiles

HOPPER = Gpu(num_sms=132, shared_memory=227 * 1024)
LLAMA = AttentionShape(4, 128, 128, torch.bfloat16, torch.bfloat16)
SHAPES = [
    LLAMA,
    AttentionShape(1, 64, 64, torch.float16, torch.float16),
    AttentionShape(32, 128, 128, torch.bfloat16, torch.bfloat16),
    AttentionShape(3, 192, 128, torch.bfloat16, torch.bfloat16),
    AttentionShape(8, 80, 80, torch.float32, torch.float32),
]


def some(count: int) -> list[Tiles]:
    return [Tiles(16 << i, 4 << i, 64, 4, 3, 132) for i in range(count)]


class Bench:
    """Gives the next of `seconds` (None: cannot run), and takes a second of its clock for each."""

    def __init__(self, *seconds: float | None) -> None:
        self.seconds = list(seconds)
        self.asked: list[Tiles] = []
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def measure(self, tiles: Tiles) -> float | None:
        self.time += 1
        self.asked.append(tiles)
        return self.seconds[len(self.asked) - 1]


def test_the_fastest_is_taken() -> None:
    bench, tried = Bench(3.0, 2.0, 1.0, 2.5), some(4)
    found = pick(tried, bench.measure, 60, bench.now)
    assert (found.tiles, found.seconds, found.rule_seconds) == (tried[2], 1.0, 3.0)
    assert (found.num_tried, found.num_candidates) == (4, 4)
    assert bench.asked == tried


def test_without_time_the_first_is_taken_unmeasured() -> None:
    bench, tried = Bench(), some(3)
    found = pick(tried, bench.measure, 0, bench.now)
    assert (found.tiles, found.seconds, found.rule_seconds) == (tried[0], None, None)
    assert bench.asked == []


def test_none_is_begun_after_the_deadline() -> None:
    bench, tried = Bench(3.0, 2.0, 1.0, 0.5), some(4)
    found = pick(tried, bench.measure, 2, bench.now)
    assert (found.tiles, found.num_tried) == (tried[1], 2)


def test_what_is_faster_by_less_than_the_noise_is_not() -> None:
    within, beyond = 1 - NOISE / 2, 1 - 2 * NOISE
    tried = some(3)
    bench = Bench(1.0, within, beyond)
    assert pick(tried, bench.measure, 60, bench.now).tiles == tried[2]
    bench = Bench(1.0, within, 1.0)
    assert pick(tried, bench.measure, 60, bench.now).tiles == tried[0]


def test_what_cannot_run_is_passed_over() -> None:
    bench, tried = Bench(None, 2.0, None), some(3)
    found = pick(tried, bench.measure, 60, bench.now)
    assert (found.tiles, found.seconds, found.rule_seconds) == (tried[1], 2.0, None)
    bench = Bench(None, None, None)
    assert pick(tried, bench.measure, 60, bench.now).tiles == tried[0]


def test_the_same_measurements_give_the_same_tiles() -> None:
    tried = candidates("decode", LLAMA, HOPPER)
    seconds = [1 + (7 * i % 11) / 10 for i in range(len(tried))]
    found = [pick(tried, (b := Bench(*seconds)).measure, 60, b.now) for _ in range(2)]
    assert found[0] == found[1]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_candidates_are_possible_and_begin_with_the_rule(kind: Kind, shape: AttentionShape) -> None:
    found = candidates(kind, shape, HOPPER)
    assert found[0] == rule_tiles(1 if kind == "decode" else 4096, shape, HOPPER)
    assert len(found) == len(set(found)) > 3
    for tiles in found:
        assert tiles.block_m >= max(16, shape.group)
        assert tiles.block_q == tiles.block_m // shape.group >= 1
    rows = {tiles.block_m for tiles in found}
    assert len(rows) == 1 or kind == "prefill"


def test_little_shared_memory_leaves_little_choice() -> None:
    large = candidates("prefill", LLAMA, HOPPER)
    small = candidates("prefill", LLAMA, Gpu(132, 100 * 1024))
    assert 1 < len(small) < len(large)


@pytest.mark.parametrize("max_query_len", [1, 2, 4096])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_rule_fits_small_gpus_and_overlaps_loads_on_large_ones(
    max_query_len: int, shape: AttentionShape
) -> None:
    large = rule_tiles(max_query_len, shape, HOPPER)
    assert large.buffers == 2
    small = rule_tiles(max_query_len, shape, Gpu(132, 64 * 1024))
    assert small in (large, replace(large, num_stages=3))


def test_the_interpreter_is_never_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles_module, "tuned_tiles", lambda *_: pytest.fail("looked up"))
    assert choose_tiles(1, LLAMA, torch.device("cpu")).keys == 128


@pytest.mark.parametrize(
    ("max_query_len", "kind"), [(1, "decode"), (2, None), (31, None), (32, "prefill")]
)
def test_tuned_tiles_are_for_their_kind(
    max_query_len: int, kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = Tiles(64, 16, 32, 2, 5, 132)
    monkeypatch.setattr(tiles_module, "gpu_of", lambda _: HOPPER)
    monkeypatch.setattr(tiles_module, "tuned_tiles", lambda k, *_: tuned if k == kind else None)
    chosen = choose_tiles(max_query_len, LLAMA, torch.device("cuda"))
    assert chosen == (tuned if kind else rule_tiles(max_query_len, LLAMA, HOPPER))
