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


def bars(panel: dict[str, Any]) -> list[str]:
    data = panel["layer"][0].get("data") or panel["data"]
    return [value["bar"] for value in data["values"]]


def test_every_figure_has_a_bar() -> None:
    spec: dict[str, Any] = kernels_chart(RESULT).to_dict()
    memory, compute = spec["hconcat"]
    assert bars(memory) == ["decode · minillm", "decode · SDPA"]
    assert bars(compute) == ["prefill · minillm"]
    assert "a GPU" in spec["title"]["text"]
    assert "4,300 GB/s" in spec["title"]["subtitle"]


def test_nothing_measured_draws_nothing() -> None:
    spec: dict[str, Any] = kernels_chart(RESULT | {"rows": []}).to_dict()
    assert [bars(panel) for panel in spec["hconcat"]] == [[], []]
