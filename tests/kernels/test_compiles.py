"""The Triton kernels compile for an H200 (sm_90), on a machine without one. Says nothing of speed.

The interpreter runs what the compiler may refuse: types of loop variables, shapes of a dot.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernels.triton_matrix import MATRIX, Setting

from minillm.kernels.tiles import AttentionShape, Gpu, Tiles, rule_tiles

HOPPER = Gpu(num_sms=132, shared_memory=227 * 1024)
TYPES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
SAMPLE = ("mixed", "all three", "groups of three", "head size 192, of values 128")
SAMPLE += ("packed", "fp8", "fp8, splits")


STRIDES = {"q_strides": 2, "k_strides": 4, "v_strides": 4, "key_strides": 2, "value_strides": 2}


def compiled(kernel: Any, constants: dict[Any, Any], types: dict[str, str], **options: int) -> Any:
    """As a launch would: what is 1 or None is a constant, pointers and strides are aligned. The
    constant of a tuple's item is named by (argument, item)."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = kernel.arg_names

    def type_of(name: str) -> Any:
        if name in STRIDES:
            return tuple(
                "constexpr" if (name, i) in constants else "i32" for i in range(STRIDES[name])
            )
        if name in constants:
            return "constexpr"
        return types.get(name, "*i64" if name.endswith("_ptr") else "i32")

    signature = {name: type_of(name) for name in names}
    aligned: list[tuple[int, ...]] = []
    for place, name in enumerate(names):
        if name in STRIDES:
            aligned += [(place, i) for i, kind in enumerate(signature[name]) if kind == "i32"]
        elif signature[name].startswith("*") or name.endswith("stride"):
            aligned.append((place,))
    places = {
        (names.index(key[0]), key[1]) if isinstance(key, tuple) else key: value
        for key, value in constants.items()
        if (key[0] if isinstance(key, tuple) else key) in names
    }
    attributes = {place: [["tt.divisibility", 16]] for place in aligned}
    source = ASTSource(kernel, signature, places, attributes)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def check_attention(
    setting: Setting,
    dtype: torch.dtype,
    num_seqs: int | None,
    tiles: Tiles | None = None,
    csr: bool = False,
) -> None:
    import triton

    from minillm.kernels.triton_attention import _paged_attention

    shape, dim = setting.shape, setting.shape.get("head_dim", 128)
    v_dim, group = shape.get("v_dim", dim), shape.get("group", 2)
    if tiles is None:
        longest = max(new for new, _ in setting.lengths)
        tiles = rule_tiles(longest, AttentionShape(group, dim, v_dim, dtype, dtype), HOPPER)
    sinks = setting.options.get("sinks")
    element, splits = TYPES[dtype], setting.options.get("num_splits", 1) > 1
    types = dict.fromkeys(("q_ptr", "k_ptr", "v_ptr", "sinks_ptr"), "*" + element)
    fp8 = shape.get("fp8", False)
    if fp8:
        types |= dict.fromkeys(("k_ptr", "v_ptr"), "*fp8e4nv")
        types |= dict.fromkeys(("k_scale_ptr", "v_scale_ptr"), "*fp32")
    types |= {"out_ptr": "*fp32" if splits else "*" + element, "lse_ptr": "*fp32", "scale": "fp32"}
    constants: dict[Any, Any] = {
        "HEAD_DIM": dim,
        "V_DIM": v_dim,
        "PADDED_DIM": max(16, triton.next_power_of_2(dim)),
        "PADDED_V_DIM": max(16, triton.next_power_of_2(v_dim)),
        "X": dim,
        "BLOCK_SIZE": shape["block_size"],
        "GROUP": group,
        "BLOCK_M": tiles.block_m,
        "BLOCK_Q": tiles.block_q,
        "TILE": tiles.keys,
        "WINDOW": setting.options.get("sliding_window", 0),
        "SOFTCAP": setting.options.get("softcap", 0.0),
        "HAS_SINKS": sinks is not None,
        "STORE_LSE": splits,
        "DOT_IN_FP32": False,
    }
    constants |= {} if sinks is not None else {"sinks_ptr": None}
    if csr:
        types |= dict.fromkeys(("block_tables_ptr", "kv_indptr_ptr"), "*i32")
    else:
        constants |= {"kv_indptr_ptr": None}
    constants |= {} if fp8 else {"k_scale_ptr": None, "v_scale_ptr": None}
    if shape.get("layout") == "packed":
        constants["X"] = 16 // (1 if fp8 else dtype.itemsize)
    else:
        constants[("v_strides", 3)] = 1
    constants |= {} if num_seqs is None else {"num_seqs": num_seqs}
    options = {"num_warps": tiles.num_warps, "num_stages": tiles.num_stages}
    kernel = compiled(_paged_attention, constants, types, **options)
    assert kernel.asm["cubin"]
    assert kernel.metadata.shared <= HOPPER.shared_memory


@pytest.mark.parametrize("num_seqs", [None, 1], ids=["several sequences", "one"])
@pytest.mark.parametrize("name", SAMPLE)
def test_attention(name: str, num_seqs: int | None):
    check_attention(MATRIX[name], torch.bfloat16, num_seqs)


def test_attention_through_csr_tables():
    check_attention(MATRIX[SAMPLE[0]], torch.bfloat16, None, csr=True)


@pytest.mark.full
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", MATRIX)
def test_attention_in_every_setting(name: str, dtype: torch.dtype):
    check_attention(MATRIX[name], dtype, None)


def test_merge_write_and_the_simplest():
    from minillm.kernels.simple_attention import _attend
    from minillm.kernels.triton_kv_write import _write_kv
    from minillm.kernels.triton_merge import _merge

    merge_types = {"parts_ptr": "*fp32", "part_lse_ptr": "*fp32", "lse_ptr": "*fp32"}
    merge_types["out_ptr"] = "*bf16"
    assert compiled(_merge, {"DIM": 80, "PARTS": 128, "COLUMNS": 64}, merge_types).asm["cubin"]
    names = ("key_ptr", "value_ptr", "k_cache_ptr", "v_cache_ptr")
    tensors: dict[str, str] = dict.fromkeys(names, "*bf16")
    sizes: dict[Any, Any] = {"NUM_HEADS": 3, "HEAD_DIM": 80, "V_DIM": 64, "BLOCK_SIZE": 16}
    sizes |= {"K_ELEMENTS": 256, "V_ELEMENTS": 256}
    plain = sizes | {"FP8": False, "k_scale_ptr": None, "v_scale_ptr": None}
    assert compiled(_write_kv, plain | {"X": 80, ("v_strides", 3): 1}, tensors).asm["cubin"]
    assert compiled(_write_kv, plain | {"X": 8}, tensors).asm["cubin"]
    tensors |= {"k_cache_ptr": "*u8", "v_cache_ptr": "*u8"}
    tensors |= {"k_scale_ptr": "*fp32", "v_scale_ptr": "*fp32"}
    fp8 = sizes | {"FP8": True, "X": 80, ("v_strides", 3): 1}
    assert compiled(_write_kv, fp8, tensors).asm["cubin"]
    tensors = dict.fromkeys(("q_ptr", "k_ptr", "v_ptr", "out_ptr"), "*bf16") | {"scale": "fp32"}
    sizes = {"D": 80, "PADDED": 128, "BLOCK_SIZE": 16, "GROUP": 2}
    assert compiled(_attend, sizes, tensors).asm["cubin"]
