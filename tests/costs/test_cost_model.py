"""How long steps take: published behaviour that no constant was fitted to, and sound arithmetic."""

from __future__ import annotations

import time

import pytest

from minillm import ConfigError
from minillm.costs import cost_model, get_hardware
from minillm.costs.calibrate import distserve_decode, distserve_prefill


@pytest.mark.parametrize("model", ["llama-2-7b", "llama-2-13b"])
def test_prefill_saturates_near_512_tokens(model: str) -> None:
    """Sarathi-Serve, OSDI'24, Figure 4 (and DistServe, Figure 3): on A100, throughput of prefill
    stops growing near 512 tokens. Here: where 90 % of the highest is reached."""
    costs = cost_model(model, "a100-80gb")
    throughput = {n: n / costs.step_seconds([(n, 0)]) for n in range(16, 4097, 16)}
    plateau = max(throughput.values())
    reached = next(n for n, value in throughput.items() if value >= 0.9 * plateau)
    assert 256 <= reached <= 640, reached


def test_overhead_of_chunked_prefill() -> None:
    """Sarathi-Serve, OSDI'24, Figure 14: Yi-34B on two A100; chunks of 512 tokens cost at most
    about a quarter, chunks of 2048 next to nothing."""
    costs = cost_model("yi-34b", "a100-80gb", 2)
    for length in (2048, 4096, 8192, 16_384):
        whole = costs.step_seconds([(length, 0)])
        overhead = [
            sum(costs.step_seconds([(chunk, done)]) for done in range(0, length, chunk)) / whole - 1
            for chunk in (512, 1024, 2048)
        ]
        assert 0 <= overhead[0] <= 0.30, overhead
        assert overhead[2] < 0.05, overhead
        assert overhead[0] > overhead[1] > overhead[2], overhead


def test_h100_against_a100() -> None:
    """Splitwise, ISCA'24, Table IV: Llama-2-70B on eight devices; a prompt takes 0.50 and a token
    0.66 to 0.68 of the time on H100."""
    a100, h100 = (cost_model("llama-2-70b", name, 8) for name in ("a100-80gb", "h100-sxm"))
    prompt = h100.step_seconds([(1500, 0)]) / a100.step_seconds([(1500, 0)])
    token = h100.step_seconds([(1, 1024)]) / a100.step_seconds([(1, 1024)])
    assert prompt == pytest.approx(0.50, rel=0.25)
    assert token == pytest.approx(0.67, rel=0.25)


def test_the_measurements_it_was_fitted_to() -> None:
    """DistServe's profile of OPT-13B on A100."""
    costs = cost_model("opt-13b", "a100-80gb")
    for batch in (1, 16, 128):
        decode = costs.step_seconds([(1, 512)] * batch)
        assert decode == pytest.approx(distserve_decode([512] * batch), rel=0.10)
    for length in (128, 512, 2048):
        prefill = costs.step_seconds([(length, 0)])
        assert prefill == pytest.approx(distserve_prefill([length]), rel=0.10)


def test_a_real_step_is_never_faster_than_the_roofline() -> None:
    from minillm.costs.roofline import operators

    for model in ("llama-2-7b", "opt-66b", "qwen3-0.6b", "mixtral-8x7b"):
        for name in ("a100-80gb", "t4", "cpu"):
            costs, device = cost_model(model, name), get_hardware(name)
            for stage, step in (("prefill", [(1024, 0)]), ("decode", [(1, 1024)] * 4)):
                table = operators(costs.shape, stage, batch=len(step), seq_len=1024, fused=True)
                ideal = costs.shape.num_layers * sum(o.seconds(device) for o in table)
                assert costs.step_seconds(step) > ideal


def test_more_work_takes_longer() -> None:
    costs = cost_model("llama-2-7b", "a100-80gb")
    steps = [[(1, 100)], [(1, 900)], [(1, 900)] * 2, [(64, 900)] * 2, [(512, 0), (1, 900)]]
    seconds = [costs.step_seconds(step) for step in steps]
    assert seconds == sorted(seconds)
    assert len(set(seconds)) == len(seconds)


def test_chunks_see_all_that_is_before_them() -> None:
    """The scores of a prompt in chunks are those of the prompt whole."""
    costs = cost_model("llama-2-7b", "a100-80gb")

    def attention(new: int, computed: int) -> float:
        return costs.step_seconds([(new, computed)]) - costs.step_seconds([(new, 0)])

    first, second = attention(1024, 1024), attention(1024, 2048)
    assert second == pytest.approx(2 * first)


def test_a_sliding_window_bounds_attention() -> None:
    costs = cost_model("mistral-7b", "a100-80gb")
    assert costs.step_seconds([(1, 4096)]) == costs.step_seconds([(1, 30_000)])
    before = costs.step_seconds([(1, 4095)])
    assert costs.step_seconds([(1, 4096)]) == pytest.approx(before, rel=1e-3)
    # Over the edge: 16 tokens that see 4088 … 4096 and then 4096 each.
    edge = costs.step_seconds([(16, 4088)])
    assert costs.step_seconds([(16, 4080)]) < edge < costs.step_seconds([(16, 5000)]) * 1.001


def test_devices_in_parallel_are_faster_but_not_so_much() -> None:
    for batch in ([(2048, 0)], [(1, 1024)] * 8):
        one, eight = (cost_model("llama-2-7b", "a100-80gb", n).step_seconds(batch) for n in (1, 8))
        assert one / 8 < eight < one


def test_kv_blocks_that_fit() -> None:
    """vLLM, SOSP'23, Table 1: OPT-13B leaves 12 GB of an A100-40GB, OPT-66B 21 GB of four."""
    for model, devices, published in (("opt-13b", 1, 15_700), ("opt-66b", 4, 9_700)):
        costs = cost_model(model, "a100-40gb", devices)
        assert costs.num_blocks(16) * 16 == pytest.approx(published, rel=0.05)
    # Eight KV heads on sixteen devices are held twice, so a token costs twice as much.
    twice, once = (cost_model("llama-2-70b", "h100-sxm", n).kv_bytes_per_token for n in (16, 8))
    assert twice == 2 * once
    with pytest.raises(ConfigError, match=r"llama-2-70b does not fit.*Raise tensor_parallel"):
        cost_model("llama-2-70b", "a100-80gb").num_blocks(16)


def test_transfers_go_over_the_link_to_the_host() -> None:
    one, four = (cost_model("opt-13b", "a100-80gb", n).transfer_seconds(1 << 30) for n in (1, 4))
    assert (1 << 30) / 32e9 < one < 2 * (1 << 30) / 32e9
    assert four == pytest.approx(one / 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hardware": "a100-80g"}, "Did you mean 'a100-80gb'"),
        ({"model": "lama-2-7b"}, "Did you mean 'llama-2-7b'"),
        ({"tensor_parallel": 5}, "does not divide"),
        ({"dtype": "float61"}, "Did you mean 'float16'"),
    ],
)
def test_mistakes_are_told(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cost_model(**{"model": "llama-2-7b", "hardware": "a100-80gb", **arguments})


def test_asking_is_quick() -> None:
    """Simulation asks once per step: a few microseconds of CPU for a batch of eight."""
    costs = cost_model("llama-2-7b", "a100-80gb")
    batch = [(1, 500 + n) for n in range(8)]
    costs.step_seconds(batch)

    def once() -> float:
        began = time.process_time()
        for _ in range(2000):
            costs.step_seconds(batch)
        return (time.process_time() - began) / 2000

    assert min(once() for _ in range(5)) < 10e-6


@pytest.mark.parametrize("model", ["llama-2-7b", "mistral-7b"])
def test_a_batch_costs_what_its_sequences_do_whatever_was_asked_before(model: str) -> None:
    cost = cost_model(model, "a100-80gb")
    batch = [(1, 9_000), (1, 40), (256, 512), (1, 40), (7, 4_090)]
    alone = [cost_model(model, "a100-80gb").step_seconds([each]) for each in batch]
    empty = cost_model(model, "a100-80gb").step_seconds
    attention = [a - empty([(new, 0)]) for a, (new, _) in zip(alone, batch, strict=True)]
    first, again = cost.step_seconds(batch), cost.step_seconds(batch)
    assert first == again
    fresh = [(new, 0) for new, _ in batch]
    assert first - empty(fresh) == pytest.approx(sum(attention), rel=1e-9)
    for computed in range(3):
        cost.step_seconds([(64 + computed, computed), (1, computed)])
    assert {new for new, _ in cost._by_sequence} == {1}  # else they grow without end
