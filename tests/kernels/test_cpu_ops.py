"""The C operators between a layer's matrix products against torch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from minillm.kernels import write_kv
from minillm.kernels.cpu_ops import add_rms_norm, can_write, cpu_ops, gated_silu, rotate

pytestmark = pytest.mark.skipif(cpu_ops() is None, reason="there is no C compiler")


@pytest.mark.parametrize("dim", [2, 24, 64])
@pytest.mark.parametrize("rows", [1, 5])
def test_rotary_embedding_in_place_of_some_heads(rows: int, dim: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(rows, 5 * dim + 3)[:, 1 : 1 + 4 * dim]  # rows lie further apart than they fill
    cos, sin = torch.randn(2, 1, rows, dim)
    heads = x.clone().view(rows, 4, dim)
    turned = torch.cat((-heads[..., dim // 2 :], heads[..., : dim // 2]), -1)
    wanted = heads * cos[0][:, None] + turned * sin[0][:, None]
    rotate(x, cos, sin, 3)
    torch.testing.assert_close(x.reshape(rows, 4, dim)[:, :3], wanted[:, :3])
    assert torch.equal(x.reshape(rows, 4, dim)[:, 3], heads[:, 3])


def test_gated_silu_from_nothing_to_everything() -> None:
    gate = torch.tensor([-1e4, -200.0, -88.0, -87.0, -3.0, -0.0, 0.0, 1e-9, 2.5, 87.0, 1e30])
    x = torch.cat((gate, torch.linspace(-2, 2, len(gate))))[None].repeat(3, 1)
    wanted = F.silu(x[:, : len(gate)]) * x[:, len(gate) :]
    torch.testing.assert_close(gated_silu(x), wanted, rtol=2e-6, atol=1e-33)


def test_add_rms_norm_adds_in_place() -> None:
    torch.manual_seed(0)
    x, more, weight = torch.randn(1, 7, 40), torch.randn(7, 40), torch.randn(40)
    total = x + more
    out = add_rms_norm(x, more, weight, 1e-6)
    assert torch.equal(x, total)
    torch.testing.assert_close(out, F.rms_norm(total, (40,), weight, 1e-6), rtol=2e-6, atol=2e-6)


def test_a_slot_outside_the_cache_is_refused() -> None:
    key, cache = torch.randn(3, 2, 8), torch.zeros(4, 4, 2, 8)
    assert can_write(key, cache, torch.arange(3))
    for slots in ([0, 16, 1], [0, -5, 1]):
        with pytest.raises(
            IndexError, match=f"token 1 is to go to slot {slots[1]}; the cache has 16"
        ):
            write_kv(key, key, cache, cache.clone(), torch.tensor(slots), padded=False)


@pytest.mark.parametrize(
    ("shape", "slots"),
    [((3, 4, 8), [0, 1, 2]), ((3, 2, 8), [0, 1]), ((3, 2, 8), [[0, 1, 2]])],
    ids=["other heads", "too few slots", "slots of another shape"],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    shape: tuple[int, ...], slots: list[int]
) -> None:
    memory = torch.zeros(8, 4, 2, 8)
    cache = memory[:4]
    with pytest.raises((IndexError, RuntimeError)):
        write_kv(
            torch.ones(shape), torch.ones(shape), cache, cache, torch.tensor(slots), padded=False
        )
    assert not memory.any()


def test_slots_of_32_bits_are_not_read_as_64() -> None:
    key, cache = torch.ones(2, 2, 8), torch.zeros(1, 4, 2, 8)
    with pytest.raises((IndexError, RuntimeError)):
        write_kv(key, key, cache, cache, torch.tensor([1, 0], dtype=torch.int32), padded=False)
    assert not cache.any()


def test_heads_that_lie_apart_are_written_all_the_same() -> None:
    torch.manual_seed(0)
    packed = torch.randn(3, 6, 8)
    for key in (packed[:, 2:4], packed.transpose(1, 2)[:, 2:4, :], packed.flip(0)[:, ::3]):
        cache = torch.zeros(4, 4, *key.shape[1:])
        write_kv(key, key, cache, cache.clone(), torch.tensor([15, 0, 7]), padded=False)
        assert torch.equal(cache.view(16, *key.shape[1:])[[15, 0, 7]], key)
