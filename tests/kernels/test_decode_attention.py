"""The C kernel for decodes, and the compiler behind it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import torch
from kernels.paged_case import Case
from torch.utils._python_dispatch import TorchDispatchMode

from minillm.kernels import native
from minillm.kernels.decode_attention import SOURCE, DecodeRows, decode_attention, kernel, serves
from minillm.kernels.plan import plan_attention

SIZES = {"HEAD_DIM": 8, "VALUE_DIM": 8, "GROUP": 2}


@pytest.mark.parametrize(
    ("lens", "threads", "used"),
    [([9], 4, 1), ([600, 600], 4, 2), ([5000, 1, 1], 3, 3), ([1] * 2000, 64, 3)],
)
def test_threads_share_the_keys_and_cover_every_sequence(lens: list[int], threads: int, used: int):
    end, none = np.array(lens), np.zeros(len(lens), np.int64)
    rows = DecodeRows.of(none[:, None], none, none, end, threads)
    assert rows.bounds[0] == 0
    assert rows.bounds[-1] == len(lens)
    assert (np.diff(rows.bounds) >= 0).all()
    assert len(rows.bounds) - 1 == used
    assert rows.longest == max(lens)


@pytest.mark.parametrize(("head_dim", "v_dim", "group"), [(64, 64, 1), (24, 40, 3), (96, 96, 8)])
def test_several_threads_and_odd_sizes_equal_dense_attention(
    head_dim: int, v_dim: int, group: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("minillm.kernels.plan.torch.get_num_threads", lambda: 3)
    lens = [(1, n) for n in (700, 3, 650, 17, 640, 1, 16, 500)]
    case = Case(lens, block_size=16, head_dim=head_dim, v_dim=v_dim, group=group)
    case.check(sinks=torch.linspace(-1, 1, 2 * group))
    case.check(softcap=5.0, sliding_window=600)


def test_rows_that_are_not_decodes_are_left_alone():
    case = Case([(1, 40), (6, 20), (1, 5)], block_size=8)
    assert serves(case.q, case.k_cache, case.v_cache) == (native.compiler() is not None)
    if native.compiler() is None:
        return
    rows = plan_attention(case.block_tables, case.seq_lens, case.query_start_loc, 8).decode_rows(
        None
    )
    assert rows is not None
    out = torch.full(case.q.shape, 7.0)
    decode_attention(case.q, case.k_cache, case.v_cache, rows, out, scale=0.3)
    want = case.paged()
    torch.testing.assert_close(out[[0, 7]], want[[0, 7]])
    assert bool((out[1:7] == 7.0).all())


@pytest.fixture
def _double_by_default() -> Generator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_double_by_default")
def test_scores_are_kept_in_fp32_whatever_the_default():
    """The kernel writes so many bytes, however many there are."""
    made = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **kwargs or {})
            made.append((func.overloadpacket, out.dtype))
            return out

    q, cache = torch.randn(2, 4, 8).float(), torch.randn(3, 8, 2, 8).float()
    tables, ends = np.array([[0, 1], [2, 0]]), np.array([9, 5])
    rows = DecodeRows.of(tables, np.arange(2), np.zeros(2, np.int64), ends, 1)
    with Watch():
        decode_attention(q, cache, cache, rows, torch.empty_like(q), scale=0.3)
    empty = {torch.ops.aten.empty, torch.ops.aten.new_empty, torch.ops.aten.empty_like}
    assert {dtype for made_by, dtype in made if made_by in empty} == {torch.float32}


@pytest.mark.parametrize("scale", [1e-6, 1.0, 60.0])
def test_scores_of_any_size_keep_the_softmax_exact(scale: float):
    case = Case([(1, 90), (1, 33)], block_size=8)
    case.q *= scale
    case.check(tolerance=2e-4 if scale > 1 else 2e-5)


def test_half_precision_and_strided_caches_are_for_torch():
    half = Case([(1, 9)], block_size=8, dtype=torch.bfloat16)
    assert not serves(half.q, half.k_cache, half.v_cache)
    case = Case([(1, 9)], block_size=8)
    assert not serves(case.q, case.k_cache.transpose(1, 2), case.v_cache.transpose(1, 2))


def test_without_a_compiler_torch_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("CC", "no-such-compiler")
    native.compiler.cache_clear()
    kernel.cache_clear()
    try:
        assert native.load(SOURCE, SIZES, tmp_path) is None
        assert not caplog.records
        Case([(1, 40), (6, 20)], block_size=8).check()
    finally:
        native.compiler.cache_clear()
        kernel.cache_clear()


def test_a_compiler_that_fails_is_told_of_and_leaves_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    broken = tmp_path / "broken.c"
    broken.write_text("this is not C\n")
    made = native.load(broken, {}, tmp_path / "made")
    assert made is None
    if native.compiler() is not None:
        assert "broken.c" in caplog.text
        assert not list((tmp_path / "made").iterdir())


def test_a_library_is_compiled_once_for_each_set_of_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if native.compiler() is None:
        assert native.load(SOURCE, SIZES, tmp_path) is None
        return
    assert native.load(SOURCE, SIZES, tmp_path) is not None
    assert native.load(SOURCE, SIZES | {"GROUP": 4}, tmp_path) is not None
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.setattr(native, "_compile", lambda *_: pytest.fail("compiled again"))
    assert native.load(SOURCE, SIZES, tmp_path) is not None


def test_a_changed_header_is_compiled_anew(tmp_path: Path):
    if native.compiler() is None:
        return
    source, header = tmp_path / "a.c", tmp_path / "a.h"
    source.write_text('#include "a.h"\nint answer(void) { return ANSWER; }\n')
    for answer in (41, 42):
        header.write_text(f"#define ANSWER {answer}\n")
        library = native.load(source, {}, tmp_path / "made")
        assert library is not None
        assert library.answer() == answer
