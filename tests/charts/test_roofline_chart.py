"""The roofline chart: operators on the roof, merged where they are near, labelled apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minillm.charts.roofline import roofline_chart
from minillm.charts.save import save
from minillm.costs import cost_model
from minillm.costs.roofline import operators


def chart(model: str, batch: int = 1) -> dict[str, Any]:
    return drawn(model, batch).to_dict()


def drawn(model: str, batch: int) -> Any:
    costs = cost_model(model, "a100-80gb", 2)
    rows = [
        {
            "stage": stage,
            "name": row.name,
            "ops": row.ops,
            "bytes": row.bytes,
            "seconds": row.seconds(costs.hardware),
        }
        for stage in ("prefill", "decode")
        for row in operators(costs.device_shape, stage, batch=batch, fused=True)
    ]
    return roofline_chart("title", rows, costs.hardware.flops, costs.hardware.bandwidth)


def points(panel: dict[str, Any]) -> list[dict[str, Any]]:
    return next(
        layer["data"]["values"]
        for layer in panel["layer"]
        if isinstance(layer.get("mark"), dict) and layer["mark"]["type"] == "point"
    )


@pytest.mark.parametrize("model", ["llama-2-7b", "yi-34b", "opt-13b", "mistral-7b"])
def test_every_point_is_on_the_roof_and_the_shares_are_all_there(model: str) -> None:
    spec = chart(model, batch=8)
    for panel in spec["hconcat"]:
        for point in points(panel):
            attained = min(312e12, point["intensity"] * 2039e9)
            assert point["rate"] == pytest.approx(attained)
            assert point["flat"] == (point["intensity"] > 312e12 / 2039e9)
        assert sum(point["share"] for point in points(panel)) == pytest.approx(1)
    json.dumps(spec, allow_nan=False)


def test_prefill_computes_and_decode_reads() -> None:
    prefill, decode = (points(panel) for panel in chart("llama-2-7b")["hconcat"])
    assert max(prefill, key=lambda point: point["share"])["flat"]
    assert not any(point["flat"] for point in decode)


def test_near_operators_share_a_label_and_small_ones_are_not_named() -> None:
    _, decode = chart("llama-2-7b")["hconcat"]
    (largest,) = [point["label"] for point in points(decode) if point["share"] > 0.9]
    assert largest == "q, k, v, out, gate, up, \ndown, fused attention  100%"
    assert any(point["label"] == "norm  <1%" for point in points(decode))


def test_labels_under_the_flat_do_not_share_a_row() -> None:
    prefill, _ = chart("yi-34b", batch=32)["hconcat"]
    flat = [point for point in points(prefill) if point["flat"]]
    texts = [
        layer["layer"][1]
        for layer in prefill["layer"]
        if "layer" in layer and layer["layer"][1]["mark"].get("baseline") == "top"
    ]
    depths = [text["mark"]["dy"] for text in texts]
    assert len(flat) == len(set(depths)) == 4
    assert depths == sorted(depths)


def test_it_is_drawn(tmp_path: Path) -> None:
    save(drawn("llama-2-7b", 1), tmp_path / "roof.svg")
    assert "operations per byte" in (tmp_path / "roof.svg").read_text()
