"""The Compare page: stages on one clock, what differs, the table, the distributions."""

from __future__ import annotations

import itertools
import math
from typing import Any

import streamlit as st

from backstage import terms
from backstage.contestants import LETTERS, ways_of
from backstage.own import AXES
from backstage.session import Session
from backstage.speech import explain, language, say
from backstage.viewport import viewport_height
from backstage.way import write
from backstage.words import inert, milliseconds
from minillm.config import ConfigError
from minillm.stage.streamlit_host import stages
from minillm.trace.compare import Comparison, Difference, Row
from minillm.trace.fold import TraceError
from minillm.trace.trace import Trace

_TERMS = {
    "request_throughput": "throughput",
    "output_throughput": "throughput",
    "request_goodput": "goodput",
}
_KEY = "together"
HEIGHTS = (572, 1000)  # CSS px of one row of stages, and of two; at least
SHARE = 0.68  # of a tall window, that they take
HEADLINE = 56  # CSS px
MARKED = 12  # differences on the time line


def draw(session: Session) -> None:
    found, words = _runs(session)
    with st.container(key="page"):
        for line in words:
            st.warning(inert(line))
        if len(found) < 2:
            return
        try:
            compared = Comparison(list(found.values()), _names(found))
        except TraceError as error:
            st.error(inert(str(error)))
            return
        with st.container(key="headline"):
            st.markdown(headline(compared))
    _stages(session, compared)
    with st.container(key="below"):
        _figures(compared)


def _runs(session: Session) -> tuple[dict[str, Trace], list[str]]:
    """The runs there are, by their letters, and what is to be said of those there are not."""
    found: dict[str, Trace] = {}
    words: list[str] = []
    for letter, way in zip(LETTERS, ways_of(session), strict=False):
        try:
            run = session.runs.get(session.choice, way)
        except ConfigError as error:
            words.append(f"{letter}: {explain(error)}")
            continue
        if run is None:
            words.append(say("compare.missing", letter=letter))
        else:
            found[letter] = run
    return found, words


def _names(found: dict[str, Trace]) -> list[str]:
    return [f"{letter} {run.header.scheduler}" for letter, run in found.items()]


def _stages(session: Session, compared: Comparison) -> None:
    own, look = session.own, session.look
    lengths = [run.duration if own["axis"] == "time" else len(run) for run in compared.traces]
    leader = compared.traces[lengths.index(max(lengths))]
    rows = -(-len(compared.traces) // 2)
    with st.container(key="view"):
        stages(
            [run.lines() for run in compared.traces],
            key=_KEY,
            session=f"{session.choice.scene} {session.choice.seed} {write(ways_of(session))} "
            + " ".join(run.header.device for run in compared.traces),
            names=compared.names,
            axis=own["axis"],
            differences=[_marked(compared, each) for each in compared.differences(MARKED)],
            height=_height(rows, alone=look.present),
            language=language(),
            step=look.step,
            select=look.select,
            order=session.order,
            on_state=lambda: _remember(session),
            start=_moment(compared.traces[0], leader),
            **({"present": True, "wholePage": True} if look.present else {}),
        )


def _height(rows: int, *, alone: bool) -> int:
    """CSS px of all stages; of a presentation they fill the window."""
    window = viewport_height()
    return window - HEADLINE if alone else max(HEIGHTS[rows - 1], round(SHARE * window))


def _marked(compared: Comparison, each: Difference) -> dict[str, Any]:
    """A difference at the moment at which it begins to show."""
    (times,) = [row for row in compared.requests if row.request == each.request]
    since = (times.first_token if each.what == "first_token" else times.end)[each.sooner]
    arrival = next(r.arrival for r in compared.traces[0].requests if r.id == each.request)
    return {"time": arrival + (since or 0), "text": each.told(compared.names, language())}


def _moment(first: Trace, leader: Trace) -> int | None:
    """The step of the leader in the middle of the one with which the first run makes its point."""
    point = first.point
    if point is None:
        return None
    step = next(each for each in first.steps if each.index == point)
    middle = step.start + step.duration // 2
    there = (each.index for each in leader.steps if each.start + each.duration >= middle)
    return next(there, None)


def _remember(session: Session) -> None:
    """Let the link say where the stages stand, and on which axis."""
    state = st.session_state[_KEY].get("state")
    if state:
        session.saw(state)
        if state.get("axis") in AXES:
            st.session_state[session.key("axis")] = state["axis"]


def _figures(compared: Comparison) -> None:
    from backstage.pictures import draw, theme
    from minillm.charts.compare import ecdf_chart

    with st.container(horizontal=True, gap="large"):
        st.markdown(table(compared), width="content")
        draw(ecdf_chart(compared, language(), theme()), "ecdf", width="content")


def headline(compared: Comparison) -> str:
    """The metric in which the runs differ most, in Markdown."""
    rows = [row for row in compared.table() if row.winners and min(row.values) > 0]
    if not rows:
        return say("compare.same")
    row = max(rows, key=lambda row: max(row.values) / min(row.values))
    best = row.values[row.winners[0]]
    worst = max(row.values) if best == min(row.values) else min(row.values)
    return say(
        "compare.lead",
        metric=_told(row),
        best=_amount(row, best),
        run=inert(compared.names[row.winners[0]]),
        worst=_amount(row, worst),
        other=inert(compared.names[row.values.index(worst)]),
    )


def table(compared: Comparison) -> str:
    """The metrics, one column per run, the winner of each row in bold; Markdown."""
    names = [inert(name) for name in compared.names]
    head = [f"| {say('compare.metric')} | " + " | ".join(names) + " |"]
    rule = ["|---|" + "---:|" * len(names)]
    return "\n".join(itertools.chain(head, rule, map(_row, compared.table())))


def _row(row: Row) -> str:
    cells = [_figure(value) for value in row.values]
    marked = [f"**{cell}** ✓" if i in row.winners else cell for i, cell in enumerate(cells)]
    name = terms.link(_TERMS.get(row.metric) or row.metric.split("_")[1], _metric(row))
    return f"| {name} | " + " | ".join(marked) + " |"


def _metric(row: Row) -> str:
    return say(f"compare.{row.metric}")


def _told(row: Row) -> str:
    """The metric in words that need no glossary."""
    if not row.metric.endswith("_ms"):
        return _metric(row)
    statistic, what, _ = row.metric.split("_")
    told = {"what": say(f"compare.told_{what}"), "statistic": say(f"compare.told_{statistic}")}
    return say("compare.told", **told)


def _amount(row: Row, value: float) -> str:
    return milliseconds(value) if row.metric.endswith("_ms") else _figure(value)


def _figure(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
