"""Block moves: on real tensors in the one right order, and what they cost in simulated time."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
from execution.steps import request
from tiny_models import tiny_model_folder

from minillm.execution.batch import Result, Row
from minillm.execution.kv_tensors import KVTensors
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model
from minillm.execution.simulated import SimulatedExecutor
from minillm.execution.torch_executor import TorchExecutor
from minillm.moves import BlockMoves

BLOCKS, CPU_BLOCKS = 6, 4


@pytest.fixture(scope="module", params=["llama", "gemma4_text", "deepseek_v2"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """Layers alike; layers that differ in head size; keys and values that differ in size."""
    folder = tmp_path_factory.mktemp(request.param)
    return load_model(str(tiny_model_folder(request.param, folder)), device="cpu")


@pytest.fixture
def kv(loaded: LoadedModel) -> KVTensors:
    """Device block b holds b in every slot of every layer, CPU block b holds 100 + b."""
    kv = KVTensors(loaded, num_blocks=BLOCKS, block_size=2, num_cpu_blocks=CPU_BLOCKS)
    for pool, first in ((kv.layers, 0), (kv._swap, 100)):
        for pair in pool.values():
            for tensor in pair:
                for block in range(tensor.shape[0]):
                    tensor[block] = first + block
    return kv


def contents(pool: dict[int, tuple[torch.Tensor, torch.Tensor]]) -> list[int]:
    """What each block holds: the same number in every slot, head and layer, in K and in V."""
    found: list[set[float]] = [set() for _ in next(iter(pool.values()))[0]]
    for pair in pool.values():
        for tensor in pair:
            for block, values in enumerate(tensor):
                found[block] |= set(values.flatten().tolist())
    assert all(len(values) == 1 for values in found), "a block is torn"
    return [int(values.pop()) for values in found]


def test_nothing_to_move(kv: KVTensors) -> None:
    assert kv.move(BlockMoves()) == 0.0
    assert contents(kv.layers) == list(range(BLOCKS))


def test_out_then_copies_then_in(kv: KVTensors) -> None:
    """Block 0 is saved, then overwritten by a copy; block 1 is copied, then overwritten by what
    comes back. Any other order of the three loses one of them."""
    seconds = kv.move(BlockMoves(swap_out=[(0, 0)], copies=[(1, 0)], swap_in=[(3, 1)]))
    assert contents(kv._swap) == [0, 101, 102, 103]
    assert contents(kv.layers) == [1, 103, 2, 3, 4, 5]
    assert seconds > 0


def test_a_block_may_leave_and_its_place_be_taken_at_once(kv: KVTensors) -> None:
    kv.move(BlockMoves(swap_out=[(2, 0), (4, 1)], swap_in=[(2, 4), (3, 2)]))
    assert contents(kv._swap) == [2, 4, 102, 103]
    assert contents(kv.layers) == [0, 1, 103, 3, 102, 5]


def test_copies_read_before_any_of_them_writes(kv: KVTensors) -> None:
    """A parent that forked and left: its block is taken again as the target of another copy."""
    kv.move(BlockMoves(copies=[(0, 1), (5, 0), (0, 2)]))
    assert contents(kv.layers) == [5, 0, 0, 3, 4, 5]


def test_only_swapping_is_waited_for(kv: KVTensors) -> None:
    assert kv.move(BlockMoves(copies=[(0, 1)])) == 0.0


def test_random_moves_do_what_they_say(kv: KVTensors) -> None:
    rng = random.Random(2)
    for _ in range(30):
        device, cpu = contents(kv.layers), contents(kv._swap)
        picked = rng.sample(range(BLOCKS), 4)
        saved = rng.sample(range(CPU_BLOCKS), 2)
        back = rng.choice([block for block in range(CPU_BLOCKS) if block not in saved])
        moves = BlockMoves(
            swap_out=list(zip(rng.sample(range(BLOCKS), 2), saved, strict=True)),
            copies=[(rng.randrange(BLOCKS), to) for to in picked[:2]],
            swap_in=[(back, picked[3])],
        )
        kv.move(moves)
        for old, new in moves.swap_out:
            cpu[new] = device[old]
        before = list(device)
        for old, new in moves.copies:
            device[new] = before[old]
        for old, new in moves.swap_in:
            device[new] = cpu[old]
        assert (contents(kv.layers), contents(kv._swap)) == (device, cpu)


def test_the_executor_moves_before_it_writes(loaded: LoadedModel) -> None:
    """One that was swapped out goes on as if nothing had happened, in other blocks, while another
    one writes to its old ones."""

    def answer(swap: bool) -> list[int | None]:
        executor = TorchExecutor(loaded, num_blocks=8, block_size=4, num_cpu_blocks=4)
        r, other = request(0, [5, 9, 17, 3, 8, 11]), request(1, [7] * 8)
        executor.execute([Row(r, 6, [0, 1])])
        r.num_computed_tokens, table = 6, [0, 1]
        if swap:
            out = BlockMoves(swap_out=[(0, 3), (1, 1)])
            executor.execute([Row(other, 8, [1, 0])], out)
            table = [6, 2]
        r.output_token_ids, r.num_output_tokens = [4], 1
        back = BlockMoves(swap_in=[(3, 6), (1, 2)]) if swap else BlockMoves()
        result = executor.execute([Row(r, 1, table)], back)
        assert (result.transfer_seconds > 0) == swap
        sampled = result.sampled[0]
        return [sampled and sampled.token_id]

    assert answer(swap=True) == answer(swap=False)


def test_forks_are_sampled_from_the_same_logits(loaded: LoadedModel) -> None:
    executor = TorchExecutor(loaded, num_blocks=8, block_size=4)
    parent, half = request(0, [5, 9, 17], n=3), request(1, [5, 9, 17, 20, 21])
    parent.forks = [request(0, [5, 9, 17]) for _ in range(2)]
    for fork, child in enumerate(parent.forks, start=1):
        child.request_id, child.fork = f"0.{fork}", fork
    result = executor.execute([Row(half, 2, [4]), Row(parent, 3, [0])])
    own = result.sampled[1]
    assert result.sampled[0] is None
    assert own is not None
    assert {name: s.token_id for name, s in result.forked.items()} == {
        "0.1": own.token_id, "0.2": own.token_id,
    }  # fmt: skip


class Costs:
    """A step takes 3 s, a swapped byte 0.01 s."""

    def step_seconds(self, batch: Sequence[tuple[int, int]]) -> float:
        return 3.0

    def transfer_seconds(self, num_bytes: float) -> float:
        return num_bytes * 0.01


def simulated(costs: Costs, moves: BlockMoves) -> Result:
    return SimulatedExecutor(costs, bytes_per_block=50).execute(
        [Row(request(0, [1]), 1, [])], moves
    )


@pytest.mark.parametrize(
    ("moves", "seconds", "waited"),
    [
        (BlockMoves(), 3.0, 0.0),
        (BlockMoves(copies=[(0, 1)]), 3.0, 0.0),  # within the device: nothing crosses
        (BlockMoves(swap_out=[(0, 0)]), 3.5, 0.5),
        (BlockMoves(swap_out=[(0, 0)], swap_in=[(1, 2), (2, 3)]), 4.5, 1.5),
        (BlockMoves(swap_out=[(n, n) for n in range(4)], early=4), 3.0, 0.0),  # 2 s beside 3 s
        (BlockMoves(swap_out=[(n, n) for n in range(8)], early=8), 4.0, 0.0),  # 4 s beside 3 s
        (BlockMoves(swap_out=[(n, n) for n in range(8)], early=7), 4.0, 0.5),  # 0.5 + max(3, 3.5)
        (BlockMoves(swap_out=[(n, n) for n in range(5)], early=2), 4.5, 1.5),  # 1.5 + max(3, 1)
    ],
)
def test_what_is_waited_for_adds_and_what_is_early_overlaps(
    moves: BlockMoves, seconds: float, waited: float
) -> None:
    result = simulated(Costs(), moves)
    assert result.seconds == pytest.approx(seconds)
    assert result.transfer_seconds == pytest.approx(waited)


def test_a_cost_model_without_transfers_moves_for_nothing() -> None:
    class Plain:
        def step_seconds(self, batch: Sequence[tuple[int, int]]) -> float:
            return 3.0

    result = SimulatedExecutor(Plain(), 50).execute(
        [Row(request(0, [1]), 1, [])], BlockMoves(swap_out=[(0, 0)])
    )
    assert (result.seconds, result.transfer_seconds) == (3.0, 0.0)
