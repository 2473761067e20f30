"""The Roofline page: its figures are those of the cost model."""

from __future__ import annotations

from typing import Any

import pytest
from backstage.budget import budget, saturating
from backstage.roof import headline

from minillm.costs import cost_model
from minillm.costs.roofline import linears


@pytest.mark.parametrize("hardware", ["a100-80gb", "h100-sxm", "t4"])
def test_the_saturating_batch_is_the_first_that_computes_longer_than_it_reads(hardware) -> None:
    costs = cost_model("llama-3-8b", hardware, 2)
    batch = saturating(costs)

    def computes(tokens: int) -> bool:
        each = linears(costs.device_shape, tokens, 2)
        ops, moved = sum(o.ops for o in each), sum(o.bytes for o in each)
        return ops / costs.hardware.flops >= moved / costs.hardware.bandwidth

    assert computes(batch)
    assert not computes(batch - 1)


def test_what_fits_is_what_the_engine_would_find_room_for() -> None:
    costs = cost_model("llama-2-7b", "a100-80gb")
    found = budget(costs, batch=16, length=2048)
    slots = costs.num_blocks(1)
    assert found.most == slots // 2048
    assert found.longest == slots // 16
    assert found.fits
    assert budget(costs, found.most, 2048).fits
    assert not budget(costs, found.most + 1, 2048).fits


def test_the_headline_says_which_wall_and_what_fits() -> None:
    costs = cost_model("llama-2-7b", "a100-80gb")
    small = budget(costs, 16, 2048)
    assert "waits for **memory**" in headline(costs, small, 16)
    large = budget(costs, 500, 64)
    assert "limited by **arithmetic**" in headline(costs, large, 500)
    assert "does not fit" in headline(costs, budget(costs, 100, 2048), 100)
    big = cost_model("llama-2-70b", "a10")
    assert "weights alone need" in headline(big, budget(big, 1, 1), 1)


def test_the_page_draws_what_the_link_says(page: Any) -> None:
    at = page("roofline", shape="llama-3-70b", hardware="h100-sxm", devices="8", batch="64")
    assert any("**h100-sxm**" in each.value for each in at.markdown)
    assert len(at.get("vega_lite_chart")) == 1
    assert at.query_params["devices"] == "8"
    refused = page("roofline", devices="7")
    assert "does not divide" in refused.error[0].value
