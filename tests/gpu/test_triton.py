"""The Triton kernels on a CUDA device: the interpreter's matrix, and real sizes.

make test-gpu
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from kernels.paged_case import Case
from kernels.triton_matrix import MATRIX, Setting

from minillm.kernels import kv_write, paged_attention, write_kv
from minillm.kernels.autotune import candidates
from minillm.kernels.synthetic import Heads
from minillm.kernels.tiles import KINDS, AttentionShape, Kind, choose_tiles, gpu_of, tuned_tiles
from minillm.kernels.tune import tune

pytestmark = pytest.mark.gpu
DTYPES = [(torch.float32, 2e-5), (torch.float16, 4e-3), (torch.bfloat16, 0.03)]


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES, ids=str)
@pytest.mark.parametrize("setting", MATRIX.values(), ids=MATRIX.keys())
def test_equals_dense_attention(setting: Setting, dtype: torch.dtype, tolerance: float):
    options = dict(setting.options)
    case = Case(setting.lengths, **setting.shape, dtype=dtype)
    if "sinks" in options:
        want = case.dense(**{k: v for k, v in options.items() if k != "num_splits"})
        got = case.paged("cuda", backend="triton", **options | {"sinks": options["sinks"].cuda()})
        torch.testing.assert_close(got.double(), want, rtol=0, atol=tolerance)
    else:
        case.check(tolerance, "cuda", backend="triton", **options)


REAL = {
    "decodes": [(1, 4096)] * 64,
    "one long decode": [(1, 65536)],
    "prefills": [(4096, 4096)] * 2,
    "mixed": [(1, 3000)] * 30 + [(512, 4000), (100, 100)],
}


@pytest.mark.parametrize("options", [{}, {"sliding_window": 1000}, {"softcap": 20.0}], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("lengths", REAL.values(), ids=REAL.keys())
def test_real_sizes_as_torch_computes_them(
    lengths: list[tuple[int, int]], dtype: torch.dtype, options: dict[str, Any]
):
    case = Case(lengths, block_size=16, kv_heads=8, group=4, head_dim=128, dtype=dtype)
    tensors = case.tensors("cuda")
    scale = 128**-0.5
    got = paged_attention(*tensors, scale=scale, backend="triton", **options)
    in_fp32 = (*(t.float() for t in tensors[:3]), *tensors[3:])
    want = paged_attention(*in_fp32, scale=scale, backend="torch", **options)
    tolerance = 4e-3 if dtype == torch.float16 else 0.03
    torch.testing.assert_close(got.float(), want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("layout", "fp8"), [("HND", False), ("packed", False), ("NHD", True), ("packed", True)]
)
def test_other_layouts_and_fp8_at_real_sizes(layout: str, fp8: bool, dtype: torch.dtype):
    shape = {"block_size": 16, "kv_heads": 8, "group": 4, "head_dim": 128, "dtype": dtype}
    case = Case(REAL["mixed"], **shape, layout=layout, fp8=fp8)
    tensors, scale = case.tensors("cuda"), 128**-0.5
    options = {name: each.cuda() for name, each in case.scales.items()} | {"layout": layout}
    got = paged_attention(*tensors, scale=scale, backend="triton", **options)
    in_fp32 = (*(t.float() for t in tensors[:3]), *tensors[3:])
    want = paged_attention(*in_fp32, scale=scale, backend="torch", **options)
    tolerance = 4e-3 if dtype == torch.float16 else 0.03
    torch.testing.assert_close(got.float(), want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_writes_as_torch_does(dtype: torch.dtype):
    key = torch.randn(8, 300, 80, device="cuda").transpose(0, 1)
    value = torch.randn(8, 300, 64, device="cuda").transpose(0, 1)
    slots = torch.randperm(640, device="cuda")[:300]
    slots[::7] = -1
    caches = [torch.zeros(40, 16, 8, d, device="cuda", dtype=dtype) for d in (80, 64)]
    wanted = [cache.clone() for cache in caches]
    write_kv(key, value, caches[0], caches[1], slots, backend="triton")
    kv_write.write_kv(key, value, wanted[0], wanted[1], slots)
    assert torch.equal(caches[0], wanted[0])
    assert torch.equal(caches[1], wanted[1])


@pytest.mark.parametrize("kind", KINDS)
def test_tuned_tiles_are_kept_used_and_right(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    heads, device = Heads(num_heads=8, num_kv_heads=2, head_dim=64), torch.device("cuda", 0)
    tuned = tune(kind, heads, torch.float16, device, deadline=5)
    assert tuned.num_tried >= 1
    shape = AttentionShape(4, 64, 64, torch.float16, torch.float16)
    longest = 1 if kind == "decode" else 200
    assert choose_tiles(longest, shape, device) == tuned.tiles
    case = Case([(longest, 300)] * 3, block_size=16, group=4, head_dim=64, dtype=torch.float16)
    case.check(4e-3, "cuda", backend="triton")
    tuned_tiles.cache_clear()


@pytest.mark.parametrize("kind", KINDS)
def test_every_candidate_is_right(kind: Kind):
    shape = AttentionShape(4, 128, 128, torch.bfloat16, torch.bfloat16)
    case = Case(
        [(1 if kind == "decode" else 200, 300)] * 3,
        block_size=16, group=4, head_dim=128, dtype=torch.bfloat16,
    )  # fmt: skip
    for tiles in candidates(kind, shape, gpu_of(torch.device("cuda", 0))):
        case.check(0.03, "cuda", backend="triton", tiles=tiles)
