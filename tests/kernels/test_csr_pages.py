"""CSR page tables: there and back, and attention through them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.paged_case import Case, lengths

from minillm.kernels import paged_attention
from minillm.kernels.csr_pages import CsrPages


def test_as_flashinfer_defines_it():
    tables = torch.tensor([[7, 3, 99], [99, 99, 99], [5, 99, 99], [2, 9, 4]])
    pages = CsrPages.from_padded(tables, torch.tensor([5, 0, 4, 12]), block_size=4)
    assert pages.kv_indptr.tolist() == [0, 2, 2, 3, 6]
    assert pages.kv_indices.tolist() == [7, 3, 5, 2, 9, 4]
    assert pages.last_page_len[[0, 2, 3]].tolist() == [1, 4, 4]
    tensors = (pages.kv_indptr, pages.kv_indices, pages.last_page_len)
    assert {t.dtype for t in tensors} == {torch.int32}
    assert pages.seq_lens(4).tolist() == [5, 0, 4, 12]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.sampled_from([1, 3, 16]))
def test_there_and_back(lens: list[int], block_size: int):
    """kv_len = page · (pages − 1) + last, 1 ≤ last ≤ page."""
    seq_lens = torch.tensor(lens)
    blocks = [-(-n // block_size) for n in lens]
    tables = torch.full((len(lens), max(blocks) + 2), -1)
    tables[:, : max(blocks)] = torch.randperm(len(lens) * max(blocks)).view(len(lens), -1)
    pages = CsrPages.from_padded(tables, seq_lens, block_size)
    assert len(pages.kv_indices) == sum(blocks)
    assert bool(((pages.last_page_len >= 1) & (pages.last_page_len <= block_size)).all())
    again, its_lens = pages.padded(block_size)
    assert its_lens.tolist() == lens
    for row, its_row, n in zip(tables, again, blocks, strict=True):
        assert row[:n].tolist() == its_row[:n].tolist()


@settings(deadline=None, max_examples=30)
@given(lengths(), st.sampled_from([1, 8]), st.sampled_from(["NHD", "HND", "packed"]))
def test_attention_through_csr_equals_dense_attention(
    pairs: list[tuple[int, int]], block_size: int, layout: str
):
    case = Case(pairs, block_size=block_size, layout=layout)
    q, k, v, tables, seq_lens, starts = case.tensors()
    pages = CsrPages.from_padded(tables, seq_lens, block_size)
    got = paged_attention(q, k, v, pages, None, starts, scale=0.3, layout=layout)
    torch.testing.assert_close(got.double(), case.dense(), rtol=0, atol=1e-5)


def test_contradictions_are_errors():
    case = Case([(1, 9)], block_size=4)
    q, k, v, tables, seq_lens, starts = case.tensors()
    pages = CsrPages.from_padded(tables, seq_lens, 4)
    with pytest.raises(ValueError, match="seq_lens must be None"):
        paged_attention(q, k, v, pages, seq_lens, starts, scale=0.3)
    with pytest.raises(ValueError, match="with CsrPages only"):
        paged_attention(q, k, v, tables, None, starts, scale=0.3)
    with pytest.raises(ValueError, match="a sequence of 9 tokens does not fit 2 blocks of 4"):
        CsrPages.from_padded(tables[:, :2], seq_lens, 4)
