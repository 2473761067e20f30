"""The chart of the kernel benchmark: a bar for whatever was measured, and for nothing else."""

from __future__ import annotations

from typing import Any

from minillm.charts.kernels import kernels_chart

RESULT = {
    "machine": {"device": "a GPU"},
    "copy_gb_per_s": 4300.0,
    "rows": [
        {"case": "decode", "contender": "minillm", "status": "measured", "of_copy": 0.9},
        {"case": "decode", "contender": "SDPA", "status": "measured", "of_copy": 0.7},
        {"case": "prefill", "contender": "minillm", "status": "measured", "tflops": 400.0},
        {"case": "prefill", "contender": "SDPA", "status": "failed"},
    ],
}


def bars(panel: dict[str, Any]) -> list[tuple[str, str, float]]:
    return [(bar["batch"], bar["by"], bar["value"]) for bar in panel["data"]["values"]]


def unit(panel: dict[str, Any]) -> str:
    return panel["spec"]["layer"][0]["encoding"]["x"]["title"]


def test_every_figure_has_a_bar() -> None:
    spec: dict[str, Any] = kernels_chart(RESULT).to_dict()
    memory, compute = spec["vconcat"]
    assert bars(memory) == [("decode", "minillm", 0.9), ("decode", "SDPA", 0.7)]
    assert bars(compute) == [("prefill", "minillm", 400)]
    assert unit(compute) == "TFLOP/s"
    assert spec["title"]["subtitle"] == "a GPU · a copy moves 4,300 GB/s, read and written"


def test_a_slow_machine_is_measured_in_smaller_units() -> None:
    row = {"case": "prefill", "contender": "minillm", "status": "measured", "tflops": 0.048}
    spec: dict[str, Any] = kernels_chart(RESULT | {"rows": [row]}).to_dict()
    compute = spec["vconcat"][1]
    assert bars(compute) == [("prefill", "minillm", 48)]
    assert unit(compute) == "GFLOP/s"


def test_nothing_measured_draws_nothing() -> None:
    spec: dict[str, Any] = kernels_chart(RESULT | {"rows": []}).to_dict()
    assert [bars(panel) for panel in spec["vconcat"]] == [[], []]
