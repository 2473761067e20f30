"""Batches to measure with: right, scattered, the same for the same seed. And the clock."""

from __future__ import annotations

import torch

from minillm.kernels import paged_attention
from minillm.kernels.synthetic import Heads, make_batch
from minillm.kernels.timing import Timing, time_run, timing

HEADS = Heads(num_heads=4, num_kv_heads=2, head_dim=16)
LENGTHS = [(1, 40), (7, 19), (3, 3)]
CPU = torch.device("cpu")


def small(seed: int = 0, block_size: int = 8):
    return make_batch(
        LENGTHS, HEADS, block_size=block_size, dtype=torch.float32, device=CPU, seed=seed
    )


def test_the_cache_holds_the_keys_that_are_also_in_one_piece() -> None:
    batch, end = small(), 0
    for b, (_, length) in enumerate(LENGTHS):
        at = torch.arange(length)
        blocks = batch.block_tables[b, at // 8]
        begin, end = end, end + length
        assert torch.equal(batch.k_cache[blocks, at % 8], batch.keys[begin:end])
        assert torch.equal(batch.v_cache[blocks, at % 8], batch.values[begin:end])
    used = batch.block_tables[0, :5].tolist()
    assert used != sorted(used)
    assert batch.query_start_loc.tolist() == [0, 1, 8, 11]


def test_attention_can_be_asked_with_it() -> None:
    batch = small()
    out = paged_attention(*batch.tensors, scale=HEADS.scale, plan=batch.plan, backend="torch")
    assert torch.equal(out[8], batch.values[59].repeat_interleave(2, 0))  # sees one key
    assert torch.equal(out, paged_attention(*small().tensors, scale=0.25, backend="torch"))
    other = paged_attention(*small(block_size=1).tensors, scale=0.25, backend="torch")
    torch.testing.assert_close(out, other)
    assert not torch.equal(out, paged_attention(*small(1).tensors, scale=0.25, backend="torch"))


def test_median_and_spread() -> None:
    assert timing([0.5]) == Timing(0.5, 0.5, 0.5, 1)
    assert timing([float(n) for n in range(11, 0, -1)]) == Timing(6.0, 2.0, 10.0, 11)


def test_a_run_is_warmed_up_and_repeated() -> None:
    calls: list[int] = []
    found = time_run(lambda: calls.append(1), CPU, repeats=5)
    assert found.repeats == 5
    assert len(calls) > 5
    assert 0 <= found.low <= found.median <= found.high
    assert time_run(lambda: None, CPU, budget=0).repeats == 3
