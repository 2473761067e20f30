"""The memory chart: levels that add up, and a picture of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_trace_for_charts import short_and_long

from minillm.charts.look import DARK
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
    assert memory_chart(EMPTY, step=0).to_dict()["datasets"] == {"memory": [], "cursor": []}


def test_it_can_be_drawn(tmp_path: Path) -> None:
    """The legend names the kinds that came up, with their means, as they are stacked."""
    spec = memory_chart(SHORT).to_dict()
    legend = spec["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert [name.split()[0] for name in legend] == ["free", "internal", "reserved", "token"]
    assert all(len(values) <= 2_000 for values in spec["datasets"].values())
    save(memory_chart(LONG), tmp_path / "memory.png")
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")


def test_the_cursor_stands_at_the_end_of_its_step_and_moves_as_data() -> None:
    here, there = (memory_chart(LONG, step=n).to_dict() for n in (3, 40))
    ends = [[row["seconds"] for row in chart.pop("datasets")["cursor"]] for chart in (here, there)]
    assert ends == [[LONG.series.end[n] / 1e9] for n in (3, 40)]
    assert here == there


def test_several_runs_may_share_an_axis_in_chinese_on_dark_paper() -> None:
    spec = memory_chart(SHORT, "zh", DARK, seconds=LONG.duration).to_dict()
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, LONG.duration]
    assert "KV 内存" in spec["title"]["text"]
    assert spec["config"]["background"] == DARK.paper
