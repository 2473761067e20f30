"""Paged attention against dense attention in fp64, in torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.paged_case import Case, lengths

from minillm.kernels import write_kv
from minillm.kernels.plan import AttentionPlan, plan_attention

BLOCK_SIZES = (1, 8, 16, 64)


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without a compiler."""
    monkeypatch.setattr("minillm.kernels.torch_attention.serves", lambda *_: False)


@settings(deadline=None, max_examples=80)
@given(
    lengths(),
    st.sampled_from(BLOCK_SIZES),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([None, 1, 5, 16, 1000]),
    st.sampled_from([None, 2.0]),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_equals_dense_attention(
    pairs: list[tuple[int, int]],
    block_size: int,
    kv_heads: int,
    group: int,
    window: int | None,
    softcap: float | None,
    with_sinks: bool,
    seed: int,
):
    case = Case(pairs, block_size=block_size, kv_heads=kv_heads, group=group, seed=seed)
    sinks = torch.linspace(-2, 2, kv_heads * group) if with_sinks else None
    case.check(sliding_window=window, softcap=softcap, sinks=sinks)


@pytest.mark.parametrize("options", [{}, {"softcap": 2.0}, {"sinks": torch.linspace(-2, 2, 4)}])
@pytest.mark.parametrize("window", [None, 1, 40])
@pytest.mark.usefixtures("gathered")
def test_equals_dense_attention_without_a_compiler(window: int | None, options: dict[str, Any]):
    pairs = [(1, 70), (5, 9), (1, 1), (1, 64), (3, 80), (1, 300)]
    Case(pairs, block_size=8).check(sliding_window=window, **options)


@pytest.mark.usefixtures("gathered")
@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_many_gathered_decodes_of_very_different_lengths(block_size: int):
    Case([(1, n) for n in (1, 700, 3, 65, 64, 350, 349, 130, 1)], block_size=block_size).check()


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_many_decodes_of_very_different_lengths(block_size: int):
    Case([(1, n) for n in (1, 700, 3, 65, 64, 350, 349, 130, 1)], block_size=block_size).check()


@pytest.mark.parametrize("options", [{}, {"softcap": 3.0}, {"sinks": torch.zeros(4)}])
def test_values_may_have_another_head_size(options: dict[str, Any]):
    Case([(1, 9), (5, 9), (4, 4)], block_size=8, head_dim=12, v_dim=5).check(**options)


@pytest.mark.parametrize("options", [{}, {"softcap": 3.0}, {"sinks": torch.zeros(4)}])
def test_bfloat16_rounds_no_more_than_bfloat16(options: dict[str, Any]):
    case = Case([(1, 50), (7, 50), (1, 3)], block_size=16, dtype=torch.bfloat16)
    case.check(tolerance=0.03, **options)


def test_a_long_chunk_is_computed_in_slices(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("minillm.kernels.torch_attention.SCORES_AT_ONCE", 300)
    Case([(40, 60), (13, 13)], block_size=8).check(softcap=2.0, sliding_window=11)


def test_a_plan_serves_layers_with_different_windows():
    case = Case([(1, 40), (6, 20)], block_size=8)
    plan = plan_attention(case.block_tables, case.seq_lens, case.query_start_loc, 8)
    for window in (None, 4, None):
        torch.testing.assert_close(
            case.paged(plan=plan, sliding_window=window), case.paged(sliding_window=window)
        )


def test_head_major_layout():
    case = Case([(1, 40), (6, 20)], block_size=8)
    want = case.paged()
    case.k_cache = case.k_cache.transpose(1, 2).contiguous()
    case.v_cache = case.v_cache.transpose(1, 2).contiguous()
    torch.testing.assert_close(case.paged(layout="HND"), want)
    with pytest.raises(ValueError, match="layout"):
        case.paged(layout="DNH")


def test_blocks_that_slid_out_of_the_window_are_not_read():
    case = Case([(1, 64), (4, 64)], block_size=8)
    want = case.paged(sliding_window=9)
    case.block_tables[:, :5] = 10**6
    torch.testing.assert_close(case.paged(sliding_window=9), want)


def test_padding_at_most_doubles_the_work_of_long_decodes():
    lens = torch.tensor([1000, 20, 510, 490, 100, 99, 64, 7, 1])
    tables = torch.zeros(len(lens), 1000, dtype=torch.int64)
    plan: AttentionPlan = plan_attention(tables, lens, torch.arange(len(lens) + 1), 1)
    groups = plan.decode_groups(None)
    assert sorted(torch.cat([g.tokens for g in groups]).tolist()) == list(range(len(lens)))
    padded = sum(g.slots.numel() for g in groups)
    assert padded <= 2 * int(lens.clamp(min=64).sum())
    assert len(groups) <= 5


def test_write_skips_negative_slots_and_leaves_the_rest_alone():
    k_cache, v_cache = torch.zeros(3, 4, 2, 5), torch.zeros(3, 4, 2, 6)
    key, value = torch.ones(3, 2, 5), torch.ones(3, 2, 6) * 2
    write_kv(key, value, k_cache, v_cache, torch.tensor([7, -1, 0]))
    for cache, written in ((k_cache, 1.0), (v_cache, 2.0)):
        flat = cache.view(12, -1)
        assert sorted(flat.sum(1).nonzero().flatten().tolist()) == [0, 7]
        assert bool((flat[[0, 7]] == written).all())
