"""The memory chart: levels that add up, and a picture of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_trace_for_charts import short_and_long

from minillm.charts.memory import memory_chart
from minillm.charts.save import save
from minillm.charts.series import memory_over_time, rows
from minillm.trace import Header, Trace

EMPTY = Trace(
    Header(block_size=4, num_blocks=8, max_num_seqs=4, max_num_batched_tokens=16, max_model_len=64)
)
SHORT, LONG = short_and_long()


@given(st.integers(1, 100))
def test_the_shares_of_a_moment_add_up(points: int) -> None:
    moments: dict[float, float] = {}
    for row in rows(memory_over_time(LONG, points)):
        moments[row["seconds"]] = moments.get(row["seconds"], 0.0) + row["share"]
    assert len(moments) == points + 1
    assert list(moments.values()) == pytest.approx([100] * len(moments))
    assert max(moments) == pytest.approx(LONG.duration)


def test_thinning_keeps_the_means() -> None:
    shares = LONG.memory().shares()
    (row,) = [row for row in rows(memory_over_time(LONG, 1))[:6] if row["kind"] == "token"]
    assert row["share"] == pytest.approx(shares["token"])


def test_nothing_to_draw() -> None:
    assert rows(memory_over_time(EMPTY)) == []
    assert list(memory_chart(EMPTY).to_dict()["datasets"].values()) == [[]]


def test_it_can_be_drawn(tmp_path: Path) -> None:
    """The legend names the kinds that came up, with their means, as they are stacked."""
    spec = memory_chart(SHORT).to_dict()
    legend = spec["encoding"]["color"]["scale"]["domain"]
    assert [name.split()[0] for name in legend] == ["free", "internal", "reserved", "token"]
    assert all(len(values) <= 2_000 for values in spec["datasets"].values())
    save(memory_chart(LONG), tmp_path / "memory.png")
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")
