"""The Compare page: stages on one clock, what differs, the table, the distributions."""

from __future__ import annotations

import itertools
import math

import msgspec
import streamlit as st

from backstage import terms
from backstage.contestants import LETTERS, ways_of
from backstage.front import stages
from backstage.session import Session
from backstage.shown import point_of
from backstage.speech import language, say
from backstage.words import inert
from minillm.config import ConfigError
from minillm.messages import spoken
from minillm.trace.compare import Comparison, Row
from minillm.trace.fold import TraceError
from minillm.trace.trace import Trace

_TERMS = {
    "request_throughput": "throughput",
    "output_throughput": "throughput",
    "request_goodput": "goodput",
}
TOLD = 2  # differences


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
        told = [each.told(compared.names, language()) for each in compared.differences(TOLD)]
        st.caption(inert(" · ".join(told)) or say("compare.same"))
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
            words.append(f"{letter}: {error}")
            continue
        if run is None:
            words.append(say("compare.missing", letter=letter))
        else:
            found[letter] = run
    return found, words


def _names(found: dict[str, Trace]) -> list[str]:
    return [f"{letter} {run.header.scheduler}" for letter, run in found.items()]


def _stages(session: Session, compared: Comparison) -> None:
    traces = []
    for run in compared.traces:
        header, *records = run.lines()
        traces.append(
            {
                "header": msgspec.json.decode(header),
                "records": [msgspec.json.decode(line) for line in records],
            }
        )
    with st.container(key="view"):
        stages()(
            key="together",
            data={
                "traces": traces,
                "names": compared.names,
                "moment": _moment(compared.traces[0]),
                "axis": session.own["axis"],
                "options": {"language": spoken(language()), "present": session.look.present},
            },
        )


def _moment(trace: Trace) -> dict[str, int]:
    """Where the first run makes its point."""
    step = point_of(trace)
    if step is None:
        return {"time": 0, "step": 0}
    at = trace.steps[step - trace.steps[0].index]
    return {"time": at.start + at.duration, "step": step}


def _figures(compared: Comparison) -> None:
    from minillm.charts.compare import ecdf_chart
    from minillm.charts.look import DARK, LIGHT

    st.markdown(table(compared))
    theme = DARK if st.context.theme.type == "dark" else LIGHT
    st.altair_chart(ecdf_chart(compared, language(), theme), theme=None, key="ecdf")


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
        metric=_metric(row),
        best=_figure(best),
        run=inert(compared.names[row.winners[0]]),
        worst=_figure(worst),
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


def _figure(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
