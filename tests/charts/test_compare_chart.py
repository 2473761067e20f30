"""The distributions of compared runs, drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from minillm.charts.compare import ecdf_chart, ecdf_rows
from minillm.charts.save import save
from minillm.messages import LANGUAGES
from minillm.recordings import bundled
from minillm.trace import Trace
from minillm.trace.compare import Comparison

BOTH = Comparison([Trace.load(bundled(f"long-prompt-{name}")) for name in ("vllm", "sarathi")])


def test_the_rows_are_the_distributions() -> None:
    rows = ecdf_rows(BOTH, "ttft")
    assert [row["run"] for row in rows if row["share"] == 100] == ["vllm", "sarathi"]
    assert max(r["ms"] for r in rows if r["run"] == "vllm") == max(
        (times.first_token[0] or 0) / 1e6 for times in BOTH.requests
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_can_be_drawn(language: str, tmp_path: Path) -> None:
    chart = ecdf_chart(BOTH, language)
    panels = [each for row in chart.to_dict()["vconcat"] for each in row["hconcat"]]
    assert [each["title"][:4].rstrip(":：") for each in panels] == ["TTFT", "TPOT", "ITL", "E2EL"]
    save(chart, tmp_path / "ecdf.png")
    assert (tmp_path / "ecdf.png").read_bytes().startswith(b"\x89PNG")
