"""The charts of who waited for whom: rows that add up, and specs that a page can read."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

import minillm.stage
from minillm.charts.blame import CELL, LIFE, life_chart, life_rows, matrix_chart, matrix_rows, shown
from minillm.charts.look import DARK, PRINT, REQUEST_HUES, Theme, hues
from minillm.charts.save import save
from minillm.messages import LANGUAGES
from minillm.recordings import bundled
from minillm.trace import Header, Trace

TRACE = Trace.load(bundled("long-prompt-vllm"))
LIVES = TRACE.lives()
EMPTY = Trace(
    Header(block_size=4, num_blocks=8, max_num_seqs=4, max_num_batched_tokens=16, max_model_len=64)
).lives()


def test_the_parts_of_a_bar_are_the_measured_time() -> None:
    bars: dict[str, list[dict]] = defaultdict(list)
    for row in life_rows(LIVES.requests.values()):
        bars[row["request"]].append(row)
    assert list(bars) == [request.id for request in TRACE.requests]
    for request in TRACE.requests:
        at = 0.0
        for row in bars[request.id]:
            assert row["from"] == at
            at = row["to"]
            assert row["ms"] == pytest.approx(row["to"] - row["from"], abs=1e-9)
            assert 0 <= row["step"] < len(TRACE.steps)
        assert request.finished_at is not None
        assert at == (request.finished_at - request.arrival) / 1e6


def test_few_rows_show_those_who_lost_most() -> None:
    most = {life.id for life in shown(LIVES, 3)}
    assert most == set(LIVES.matrix(3).waiters)
    chart = life_chart(LIVES, "en", most=3).to_dict()
    assert "The 3 of 11 requests" in chart["title"]["subtitle"][1]
    assert {row["request"] for row in chart["datasets"]["lives"]} == most


def test_a_row_for_each_cell() -> None:
    matrix = LIVES.matrix()
    rows = matrix_rows(matrix)
    assert [(r["waiter"], r["culprit"], r["step"]) for r in rows] == [
        (cell.waiter, cell.culprit, cell.step) for cell in matrix.cells
    ]
    assert sum(row["ms"] for row in rows) == pytest.approx(matrix.ns / 1e6)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("theme", [PRINT, DARK])
def test_a_page_can_read_what_is_clicked(language: str, theme: Theme) -> None:
    cell = matrix_chart(LIVES.matrix(), language, theme).to_dict()
    life = life_chart(LIVES, language, theme).to_dict()
    assert [(p["name"], p["select"]["fields"]) for p in cell["params"]] == [
        (CELL, ["waiter", "culprit", "step"])
    ]
    assert [(p["name"], p["select"]["fields"]) for p in life["params"]] == [
        (LIFE, ["request", "step"])
    ]


def test_a_part_of_the_matrix_says_so() -> None:
    subtitle = matrix_chart(LIVES.matrix(2), "en").to_dict()["title"]["subtitle"]
    assert re.search(r"Shown: \d+ % of all that was lost", subtitle)
    assert "Shown" not in matrix_chart(LIVES.matrix(), "en").to_dict()["title"]["subtitle"]


def test_nothing_to_draw() -> None:
    assert life_chart(EMPTY, "en").to_dict()["datasets"] == {"lives": []}
    assert matrix_chart(EMPTY.matrix(), "zh").to_dict()["datasets"] == {"matrix": []}


def test_the_hues_are_those_of_the_stage() -> None:
    folder = Path(minillm.stage.__file__).parent
    text = (folder / "js" / "palette.js").read_text(encoding="utf-8")
    block = text[text.index("HUES = [") : text.index("];")]
    assert tuple(re.findall(r"#[0-9a-f]{6}", block)) == REQUEST_HUES
    found = hues(["3", "15", "15.1", "ask", "ask.1"])
    assert found["3"] == found["15"] == found["15.1"] == REQUEST_HUES[3]
    assert [found["ask"], found["ask.1"]] == [REQUEST_HUES[3], REQUEST_HUES[4]]


def test_they_can_be_drawn(tmp_path: Path) -> None:
    for name, chart in {
        "life": life_chart(LIVES, "zh"), "matrix": matrix_chart(LIVES.matrix(4), "en")
    }.items():  # fmt: skip
        save(chart, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
