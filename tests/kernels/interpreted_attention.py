"""The Triton attention kernels under the interpreter. `test_triton.py` runs this file."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.paged_case import Case, lengths, poisoned_outputs
from kernels.triton_matrix import MATRIX, MIXED, Setting

from minillm.kernels import paged_attention, triton_attention, triton_tile
from minillm.kernels.chunk_plan import smallest_chunk, work_list
from minillm.kernels.csr_pages import CsrPages
from minillm.kernels.simple_attention import simple_attention
from minillm.kernels.tiles import Tiles
from minillm.kernels.triton_merge import merge_attention

DTYPES = [(torch.float16, 4e-3), (torch.bfloat16, 0.03)]


@pytest.mark.parametrize("setting", MATRIX.values(), ids=MATRIX.keys())
def test_equals_dense_attention(setting: Setting):
    Case(setting.lengths, **setting.shape).check(**setting.options, backend="triton")


@pytest.mark.full
@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES, ids=str)
@pytest.mark.parametrize("setting", MATRIX.values(), ids=MATRIX.keys())
def test_half_precision_rounds_no_more_than_it_must(
    setting: Setting, dtype: torch.dtype, tolerance: float
):
    Case(setting.lengths, **setting.shape, dtype=dtype).check(tolerance, **setting.options)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES, ids=str)
def test_half_precision(dtype: torch.dtype, tolerance: float):
    Case(MIXED, block_size=16, dtype=dtype).check(tolerance)


def equals_dense_attention(
    pairs: list[tuple[int, int]],
    block_size: int,
    kv_heads: int,
    group: int,
    head_dim: int,
    window: int | None,
    softcap: float | None,
    with_sinks: bool,
    num_splits: int | None,
    tiles: Tiles | None,
    layout_and_fp8: tuple[str, bool],
    seed: int,
):
    shape: dict[str, Any] = {"kv_heads": kv_heads, "group": group, "head_dim": head_dim}
    shape["layout"], shape["fp8"] = layout_and_fp8
    if shape["layout"] == "packed" and shape["fp8"]:
        shape |= {"head_dim": 16, "v_dim": head_dim}
    sinks = torch.linspace(-2, 2, kv_heads * group) if with_sinks else None
    case = Case(pairs, block_size=block_size, **shape, seed=seed)
    launch = {"num_splits": num_splits, "tiles": tiles}
    with poisoned_outputs():
        case.check(sliding_window=window, softcap=softcap, sinks=sinks, **launch)


drawn = given(
    lengths(),
    st.sampled_from([1, 2, 8, 16, 128]),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 2, 4, 5]),
    st.sampled_from([8, 16, 20, 64]),
    st.sampled_from([None, 1, 5, 16, 1000]),
    st.sampled_from([None, 2.0]),
    st.booleans(),
    st.sampled_from([None, None, None, 2, 3]),
    st.sampled_from([None, Tiles(16, 3, 16, 1, 1, 1)]),  # small, and with a row to spare
    st.sampled_from(
        [("NHD", False), ("NHD", True), ("HND", False), ("packed", False), ("packed", True)]
    ),
    st.integers(0, 2**16),
)
test_any_batch = settings(max_examples=25)(drawn(equals_dense_attention))
test_very_many_batches = pytest.mark.full(settings(max_examples=400)(drawn(equals_dense_attention)))


def test_head_major_layout():
    case = Case([(1, 40), (6, 20)], block_size=8)
    want = case.paged()
    case.k_cache = case.k_cache.transpose(1, 2).contiguous()
    case.v_cache = case.v_cache.transpose(1, 2).contiguous()
    torch.testing.assert_close(case.paged(layout="HND"), want)
    with pytest.raises(ValueError, match="layout"):
        case.paged(layout="DNH")


def test_queries_may_be_a_view_with_heads_first():
    case = Case([(1, 40), (6, 20)], block_size=8)
    want = case.paged()
    case.q = case.q.transpose(0, 1).contiguous().transpose(0, 1)
    torch.testing.assert_close(case.paged(), want)


def test_blocks_that_slid_out_of_the_window_are_not_read():
    case = Case([(1, 64), (4, 64)], block_size=8)
    want = case.paged(sliding_window=9)
    case.block_tables[:, :5] = 10**6
    torch.testing.assert_close(case.paged(sliding_window=9), want)


@pytest.mark.parametrize("num_splits", [1, 3])
def test_empty_sequences_and_empty_batches(num_splits: int):
    """A sequence without new tokens takes no rows; a query without keys gets zeros."""
    case = Case([(1, 9), (4, 30)], block_size=8)
    want = case.paged()
    q, k, v, tables, _, _ = case.tensors()
    tables = tables[[0, 0, 1, 1, 0]]
    seq_lens = torch.tensor([0, 9, 12, 30, 0])
    starts = torch.tensor([0, 0, 1, 1, 5, 6])  # the last: a query of an empty sequence
    q = torch.cat((q, q[:1]))
    got, lse = paged_attention(
        q, k, v, tables, seq_lens, starts, scale=0.3, num_splits=num_splits, return_lse=True
    )
    torch.testing.assert_close(got[:5], want)
    assert bool((got[5] == 0).all() and (lse[5] == -torch.inf).all())
    assert bool(lse[:5].isfinite().all())
    nothing = paged_attention(
        q[:0], k, v, tables[:1], seq_lens[:1], starts[:2], scale=0.3, num_splits=num_splits
    )
    assert nothing.shape == (0, 4, 8)


@pytest.mark.parametrize("sinks", [None, torch.linspace(-1, 1, 4)])
@pytest.mark.parametrize("num_splits", [1, 3])
def test_lse_is_the_softmaxs_denominator(num_splits: int, sinks: torch.Tensor | None):
    case = Case([(1, 17)], block_size=4)
    _, lse = paged_attention(
        *case.tensors(), scale=0.3, sinks=sinks, num_splits=num_splits, return_lse=True
    )
    scores = torch.einsum("hd,lhd->hl", case.q[0], case.keys[0].repeat_interleave(2, 1)) * 0.3
    if sinks is not None:
        scores = torch.cat((scores, sinks[:, None]), 1)
    torch.testing.assert_close(lse[0], scores.logsumexp(1))


MUTANTS = {
    "skips the first keys": ("range(full_begin, full_end, TILE)", "range(TILE, full_end, TILE)"),
    "skips the last keys": ("range(num_masked)", "range(num_masked - 1)"),
    "skips a key": ("start + tl.arange(0, TILE)", "start + tl.arange(0, TILE) // 2 * 2"),
    "sees a tile twice": ("(full_begin - first) // TILE", "(full_begin - first) // TILE + 1"),
    "looks ahead": ("inside[None, :] & (at[None, :] <= position[:, None])", "inside[None, :]"),
    "forgets to rescale": ("acc * shrink[:, None]", "acc"),
}


@pytest.mark.parametrize(("right", "wrong"), MUTANTS.values(), ids=MUTANTS.keys())
def test_the_comparison_notices_a_wrong_kernel(right: str, wrong: str, tmp_path: Path):
    source = Path(str(triton_tile.__file__)).read_text()
    assert source.count(right) == 1
    (tmp_path / "mutant.py").write_text(source.replace(right, wrong))
    spec = spec_from_file_location("mutant", tmp_path / "mutant.py")
    assert spec is not None
    assert spec.loader is not None
    mutant = module_from_spec(spec)
    spec.loader.exec_module(mutant)
    case = Case([(130, 300)], block_size=8)
    with patch.object(triton_attention, "attend", mutant.attend):
        got = triton_attention.paged_attention(*case.tensors(), scale=0.3)
    error = (got - case.dense()).abs().max()
    assert not error < 1e-3  # or no number


@settings(max_examples=15)
@given(st.integers(2, 9), st.integers(1, 70), st.integers(0, 2**16))
def test_merging_is_associative_and_commutative(num_parts: int, dim: int, seed: int):
    """Any split, in any order and grouping, is the attention over all keys."""
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.normal(size=(2, 40)) * 4)
    values = torch.from_numpy(rng.normal(size=(2, 40, dim)))
    cuts = np.sort(rng.integers(0, 41, num_parts - 1))  # some parts are empty
    parts = np.split(rng.permutation(40), cuts)
    weights = [scores[:, p].softmax(1)[:, None] @ values[:, p] for p in parts]
    outs = torch.stack([w[:, 0] for w in weights], 1).float()
    lses = torch.stack([scores[:, p].logsumexp(1) for p in parts], 1).float()
    want = (scores.softmax(1)[:, None] @ values)[:, 0].float()

    together, lse = merge_attention(outs, lses)
    torch.testing.assert_close(together, want, rtol=0, atol=1e-5)
    torch.testing.assert_close(lse, scores.logsumexp(1).float(), rtol=0, atol=1e-5)
    order = rng.permutation(num_parts)
    torch.testing.assert_close(merge_attention(outs[:, order], lses[:, order])[0], want, **CLOSE)
    left = (outs[:, 0], lses[:, 0])  # ((a ⊕ b) ⊕ c) …
    right = (outs[:, -1], lses[:, -1])  # a ⊕ (b ⊕ (c …
    for i in range(1, num_parts):
        left = plus(left, (outs[:, i], lses[:, i]))
        right = plus((outs[:, -1 - i], lses[:, -1 - i]), right)
    torch.testing.assert_close(left[0], want, **CLOSE)
    torch.testing.assert_close(right[0], want, **CLOSE)


@settings(max_examples=10)
@given(lengths(), st.sampled_from([1, 8]), st.sampled_from([None, 5]), st.integers(1, 3))
def test_csr_tables_are_read_as_they_are(
    pairs: list[tuple[int, int]], block_size: int, window: int | None, num_splits: int
):
    case = Case(pairs, block_size=block_size)
    q, k, v, tables, seq_lens, starts = case.tensors()
    pages = CsrPages.from_padded(tables, seq_lens, block_size)
    options = {"scale": 0.3, "sliding_window": window, "num_splits": num_splits}
    with patch.object(CsrPages, "padded", side_effect=AssertionError):
        got = paged_attention(q, k, v, pages, None, starts, **options)
    want = paged_attention(q, k, v, tables, seq_lens, starts, **options)
    assert torch.equal(got, want)


@settings(max_examples=10)
@given(
    st.lists(st.integers(1, 90), min_size=1, max_size=4),
    st.sampled_from([1, 4]),
    st.integers(1, 12),
    st.integers(0, 2**16),
)
def test_chunks_behind_csr_tables_merge_to_the_whole(
    lens: list[int], block_size: int, max_pieces: int, seed: int
):
    """FlashInfer (Ye et al. 2025): decodes cut by the plan, each piece attended to through its own
    part of the CSR table, merged in any order, equal the softmax over all keys."""
    case = Case([(1, n) for n in lens], block_size=block_size, seed=seed)
    q, k, v, tables, seq_lens, _ = case.tensors()
    pages = CsrPages.from_padded(tables, seq_lens, block_size)
    queries, blocks = np.ones(len(lens), np.int64), pages.num_pages().numpy()
    chunk = smallest_chunk(queries, blocks, block_q=1, max_pieces=max_pieces)
    work = work_list(queries, blocks, 1, chunk)
    owner = torch.tensor([piece.request for piece in work])
    ends = pages.kv_indptr[owner] + torch.tensor([piece.end for piece in work])
    whole = torch.full((len(work),), block_size)
    last = torch.where(ends == pages.kv_indptr[owner + 1], pages.last_page_len[owner], whole)
    cut = CsrPages(torch.cat((ends.new_zeros(1), ends)).int(), pages.kv_indices, last.int())
    starts = torch.arange(len(work) + 1)
    outs, lses = paged_attention(q[owner], k, v, cut, None, starts, scale=0.3, return_lse=True)
    rng = torch.Generator().manual_seed(seed)
    merged = []
    for request in range(len(lens)):
        mine = (owner == request).nonzero().flatten()
        mine = mine[torch.randperm(len(mine), generator=rng)]
        part, lse = outs[mine].transpose(0, 1), lses[mine].transpose(0, 1)
        merged.append(merge_attention(part, lse)[0])
    torch.testing.assert_close(torch.stack(merged).double(), case.dense(), **CLOSE)


CLOSE = {"rtol": 0, "atol": 1e-5}
Part = tuple[torch.Tensor, torch.Tensor]


def plus(a: Part, b: Part) -> Part:
    return merge_attention(torch.stack((a[0], b[0]), 1), torch.stack((a[1], b[1]), 1))


@pytest.mark.parametrize("block_size", [1, 4, 16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_simplest_kernel_says_the_same(block_size: int, dtype: torch.dtype):
    case = Case([(1, 30), (5, 11), (1, 1)], block_size=block_size, head_dim=12, dtype=dtype)
    got = simple_attention(*case.tensors(), scale=0.3)
    tolerance = 2e-5 if dtype == torch.float32 else 0.03
    torch.testing.assert_close(got.double(), case.dense(), rtol=0, atol=tolerance)


@pytest.mark.full
def test_pools_over_two_to_the_31_elements():
    """Pages of memory that nobody touches take none."""
    num_blocks = 2**31 // (16 * 16) + 4
    pool = torch.empty(num_blocks, 16, 1, 16, dtype=torch.float16)
    case = Case([(1, 30), (3, 20)], block_size=16, kv_heads=1, head_dim=16, dtype=torch.float16)
    last = num_blocks - len(case.k_cache)
    pool[last:] = case.k_cache
    case.block_tables += last
    case.v_cache = case.k_cache = pool
    case.values = case.keys
    case.check(4e-3)
