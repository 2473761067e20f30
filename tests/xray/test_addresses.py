"""From addresses to tensors and boxes."""

from __future__ import annotations

import numpy as np
import torch

from minillm.xray.addresses import AddressMap, boxes, indices
from minillm.xray.records import Tensor

CACHE = Tensor(
    name="k_cache",
    dtype="float32",
    itemsize=4,
    axes=("block", "slot", "head", "dim"),
    shape=(6, 4, 2, 8),
    strides=(64, 16, 8, 1),
)


def touched(*rows: tuple[int, int, int]) -> np.ndarray:
    """Whole rows (block, slot, head) of the cache, one after the other."""
    elements = [CACHE.strides[0] * b + 16 * s + 8 * h + d for b, s, h in rows for d in range(8)]
    found, inside = indices(CACHE, np.array(elements))
    assert inside.all()
    return found


def test_slots_are_joined_and_blocks_are_not():
    rows = touched(*((b, s, 1) for b in (2, 3) for s in range(4)))
    whole = ((0, 4), (1, 2), (0, 8))
    assert boxes(CACHE, rows) == (((2, 3), *whole), ((3, 4), *whole))


def test_the_order_is_that_of_the_blocks():
    """What one load touches within a block is in no order."""
    rows = touched((5, 0, 0), (1, 2, 0), (1, 3, 0), (1, 0, 0))
    firsts = [(box[0][0], box[1]) for box in boxes(CACHE, rows)]
    assert firsts == [(5, (0, 1)), (1, (0, 1)), (1, (2, 4))]


def test_blocks_are_told_apart_however_the_tile_lies():
    """A tile of [dims, keys] goes through the blocks for every dimension."""
    rows = touched((5, 0, 0), (5, 1, 0), (1, 0, 0)).reshape(3, 8, 4).transpose(1, 0, 2)
    whole = ((0, 1), (0, 8))
    wanted = (((5, 6), (0, 2), *whole), ((1, 2), (0, 1), *whole))
    assert boxes(CACHE, rows.reshape(-1, 4)) == wanted


def test_rows_of_other_tensors_stay_in_order():
    q = Tensor(
        name="q", dtype="float32", itemsize=4, axes=("token", "head"), shape=(4, 2), strides=(2, 1)
    )
    found, _ = indices(q, np.array([6, 7, 2, 3, 4]))
    assert boxes(q, found) == (((3, 4), (0, 2)), ((1, 2), (0, 2)), ((2, 3), (0, 1)))


def test_what_is_touched_twice_is_named_once():
    rows = touched((1, 0, 0), (1, 0, 0))
    assert boxes(CACHE, rows) == (((1, 2), (0, 1), (0, 1), (0, 8)),)


def test_parts_of_a_row():
    found, _ = indices(CACHE, np.array([64, 65, 67]))
    assert [box[3] for box in boxes(CACHE, found)] == [(0, 2), (3, 4)]
    assert boxes(CACHE, found[:0]) == ()


def test_elements_beyond_the_tensor_are_none_of_it():
    _, inside = indices(CACHE, np.array([-1, 0, 6 * 64 - 1, 6 * 64]))
    assert inside.tolist() == [False, True, True, False]


def test_gaps_between_rows_are_none_of_it():
    narrow = Tensor(
        name="view", dtype="float32", itemsize=4, axes=("a", "b"), shape=(3, 5), strides=(8, 1)
    )
    found, inside = indices(narrow, np.array([0, 4, 5, 8, 20, 21]))
    assert inside.tolist() == [True, True, False, True, True, False]
    assert found[inside].tolist() == [[0, 0], [0, 4], [1, 0], [2, 4]]


def test_axes_may_lie_in_any_order():
    turned = Tensor(
        name="turned", dtype="float32", itemsize=4, axes=("a", "b"), shape=(4, 3), strides=(1, 4)
    )
    assert indices(turned, np.array([6]))[0].tolist() == [[2, 1]]


def test_views_of_one_memory_are_one_tensor_and_names_are_unique():
    memory, q = AddressMap(), torch.zeros(3, 4)
    assert memory.add("q", q, ("token", "dim")) == "q"
    assert memory.add("anything", q.view(-1)) == "q"
    assert memory.add("out", torch.zeros(2)) == "out"
    assert memory.add("out", torch.zeros(2)) == "out_2"
    assert memory.add("scalar", torch.tensor(1.0)) == "scalar"
    assert [region.tensor.axes for region in memory.regions][1:] == [("axis 0",)] * 3


def test_an_address_is_found_in_its_tensor():
    memory = AddressMap()
    q, k = torch.zeros(8), torch.zeros(8)
    memory.add("q", q)
    memory.add("k", k)
    inside = np.array([k.data_ptr(), k.data_ptr() + 28])
    region = memory.find(np.append(inside, 12))
    assert region is not None
    assert region.tensor.name == "k"
    assert memory.find(np.array([12])) is None
    assert memory.find(np.array([], np.int64)) is None
