"""The constants in the code are those that the calibration computes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from minillm.costs.calibrate import Profile, fit_distserve, fit_vidur, minimise
from minillm.costs.cost_model import Achieved

# Beside the checkout, where somebody has put the published profile.
PROFILE = Path(__file__).parents[3] / "shared" / "data" / "vidur_a100_mlp_llama2_7b.csv"

_HEADER = [
    f"time_stats.{name}.median"
    for name in (
        "attn_pre_proj",
        "attn_post_proj",
        "mlp_up_proj",
        "mlp_down_proj",
        "input_layernorm",
        "attn_rope",
        "add",
        "post_attention_layernorm",
        "mlp_act",
    )
]


def test_the_search_finds_a_minimum() -> None:
    found = minimise(lambda x: (x[0] - 3) ** 2 + (x[1] - 0.02) ** 2 * 1e4, (1.0, 1.0), rounds=200)
    assert found == pytest.approx([3, 0.02], rel=1e-2)


def test_a_profile_is_read(tmp_path: Path) -> None:
    path = tmp_path / "profile.csv"
    rows = [
        [*_HEADER, "num_tokens", "num_tensor_parallel_workers"],
        [1, 2, 3, 4, 10, 20, 30, 40, 50, 8, 2],
        [1, 2, 3, 4, 10, 20, 30, 40, 50, 9, 2],
        [1, 2, 3, 4, 10, 20, 30, 40, 50, 16, 2],
    ]
    path.write_text("\n".join(",".join(map(str, row)) for row in rows))
    profile = Profile(path)
    assert profile.linear[0] == (2, 8, 0.010)
    assert profile.elementwise[0] == (2, 8, 0.180)  # a layer adds twice
    assert profile.weights == [0.5, 0.5, 1]


def test_attention_follows_from_distserve_alone() -> None:
    fitted = fit_distserve(Achieved())
    assert fitted.attention_compute == pytest.approx(Achieved().attention_compute, rel=0.01)
    assert fitted.attention_bandwidth == pytest.approx(Achieved().attention_bandwidth, rel=0.01)
    assert fitted.iteration_seconds == pytest.approx(Achieved().iteration_seconds, rel=0.02)


if PROFILE.is_file():

    def test_the_constants_are_those_of_the_profile() -> None:
        fitted = fit_distserve(fit_vidur(Profile(PROFILE)))
        for field in fields(Achieved):
            stated, computed = getattr(Achieved(), field.name), getattr(fitted, field.name)
            assert stated == pytest.approx(computed, rel=0.01), field.name
