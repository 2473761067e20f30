"""The Blocking page: its figures are those of the trace, and a cell leads to its moment."""

from __future__ import annotations

import json
from typing import Any

import pytest
from backstage.blocked import cells_of, headline, table
from backstage.shown import from_bundle

from minillm.recordings import names
from minillm.trace.lives import Lives


@pytest.mark.parametrize("name", names())
def test_each_bar_adds_up_to_the_measured_latency(name: str) -> None:
    trace = from_bundle(name).trace
    measured = {r.id: (r.finished_at or 0) - r.arrival for r in trace.requests if r.completed}
    rows = table(trace.lives(), None)["rows"]
    assert rows
    for row in rows:
        assert sum(ns for _, _, ns, _ in row["parts"]) == measured[row["id"]]


def test_a_row_of_the_matrix_is_the_part_of_its_bar_that_others_caused() -> None:
    lives = from_bundle("long-prompt-vllm").lives()
    drawn = table(lives, None)
    for row in drawn["rows"]:
        cells = sum(cell[0] for cell in row["cells"] if cell)
        others = {"itself", "idle", "unexplained"}
        assert cells == sum(ns for _, who, ns, _ in row["parts"] if who not in others)
    cell = cells_of(lives)["0", "6"]
    assert cell.ns == max(ns for ns, *_ in filter(None, drawn["rows"][0]["cells"]))


def test_the_headline_names_the_culprit_or_that_there_is_none() -> None:
    words = headline(from_bundle("long-prompt-vllm").lives())
    assert words.startswith("Request **6** cost 7 others **1.07 s**")
    assert "No request" in headline(Lives({}))


def test_the_page_shows_the_session_s_run_and_jumps_to_a_cell(page: Any) -> None:
    at = page("blocking", scene="memory")
    assert drawn(at, "blocking")["rows"]
    assert drawn(at, "stage")["header"]["scene"] == "memory"
    session = at.session_state["session"]
    cell = next(iter(cells_of(session.shown.lives()).values()))
    session.look_at(cell.step, cell.waiter)
    at.run()
    goto = drawn(at, "stage")["goto"]
    assert (goto["step"], goto["select"]) == (cell.step, cell.waiter)
    assert at.query_params["step"] == str(cell.step)


def test_a_report_that_crossed_with_a_click_is_dropped(page: Any) -> None:
    session = page("blocking").session_state["session"]
    session.look_at(21, "7")
    crossed = {"step": 16, "selection": None, "playing": False, "order": session.order - 1}
    session.saw(crossed)
    assert (session.look.step, session.look.select) == (21, "7")
    session.saw({**crossed, "order": session.order})
    assert (session.look.step, session.look.select) == (16, None)
    session.saw({**crossed, "playing": True, "order": session.order})
    assert session.look.step is None


def drawn(at: Any, component: str) -> dict[str, Any]:
    """What the page gave one of its components."""
    name = f"minillm_{component}"
    (element,) = [e for e in at.get("bidi_component") if e.proto.component_name == name]
    return json.loads(element.proto.json)
