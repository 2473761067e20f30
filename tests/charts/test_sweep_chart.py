"""The chart of a sweep: every scheduler in every panel, valid, and drawn to a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minillm.charts.save import save
from minillm.charts.sweep import sweep_chart

NAMES = [f"policy {n}" for n in range(10)]


def rows(rates: tuple[Any, ...] = (1.0, 2.0, 16.0), goodput: float | None = 0.5) -> list[dict]:
    return [
        {
            "scheduler": name,
            "request_rate": rate,
            "model": "m",
            "hardware": "h",
            "tensor_parallel": 2,
            "dataset_name": "random",
            "goodput_ttft_ms": 200.0,
            "p99_ttft_ms": 90.0,
            "p99_itl_ms": None if rate == 2 else 30.0,
            "request_goodput": goodput,
            "request_throughput": 0.9,
        }
        for name in NAMES
        for rate in rates
    ]


def titles(spec: dict[str, Any]) -> list[str]:
    return [panel["title"] for panel in spec["hconcat"]]


def lines(panel: dict[str, Any]) -> dict[str, Any]:
    """The layer that has the schedulers' lines."""
    return next(layer for layer in panel["layer"] if "layer" in layer)


def test_three_panels_over_the_rates() -> None:
    spec = sweep_chart(rows()).to_dict()
    assert titles(spec)[0] == "99th percentile of TTFT, ms"
    assert titles(spec)[2] == "Goodput, requests per second"
    assert spec["title"]["text"] == "m on 2 × h · random"
    assert spec["title"]["subtitle"] == "A request is good with TTFT ≤ 200 ms."
    values = spec["hconcat"][1]["data"]["values"]
    assert {value["scheduler"] for value in values} == set(NAMES)
    assert {value["rate"] for value in values} == {1.0, 16.0}  # what was not measured is not drawn
    encoding = lines(spec["hconcat"][0])["layer"][0]["encoding"]
    looks = [
        tuple(map(str, look))
        for look in zip(*(encoding[c]["scale"]["range"] for c in ("color", "shape", "strokeDash")),
                        strict=True)
    ]  # fmt: skip
    assert len(set(looks)) == len(NAMES)  # no two alike
    assert encoding["x"]["scale"]["type"] == "log"
    json.dumps(spec, allow_nan=False)


def test_without_limits_throughput_and_near_rates_a_linear_axis() -> None:
    spec = sweep_chart(rows((1.0, 2.0, "inf"), goodput=None)).to_dict()
    assert titles(spec)[2] == "Throughput, requests per second"
    encoding = lines(spec["hconcat"][2])["layer"][0]["encoding"]
    assert encoding["x"]["scale"]["type"] == "linear"
    assert encoding["x"]["axis"]["values"] == [1.0, 2.0]


@pytest.mark.parametrize(("suffix", "begins"), [("html", "<!DOCTYPE"), ("png", "\x89PNG")])
def test_it_is_drawn_to_a_file(suffix: str, begins: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"chart.{suffix}"
    save(sweep_chart(rows()), path)
    content = path.read_bytes()
    assert content.lstrip().startswith(begins.encode("latin-1"))
    assert b"cdn.jsdelivr" not in content  # it works offline


def test_infinite_rates_alone_still_make_a_chart(tmp_path: Path) -> None:
    save(sweep_chart(rows(("inf",))), tmp_path / "chart.svg")
    assert "<svg" in (tmp_path / "chart.svg").read_text()
