"""Head-of-line blocking: bars of the requests' lives, and the matrix of who cost whom what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from backstage import terms
from backstage.front import part
from backstage.session import Session
from backstage.speech import say
from backstage.words import inert, milliseconds

if TYPE_CHECKING:
    from minillm.trace.lives import Cell, Life, Lives

    Cells = dict[tuple[str, str], Cell]

TICK = 2.0  # seconds
MOST_ROWS, MOST_CULPRITS = 24, 12
_KEY, _JUMPED = "blocking", "blocking-jumped"


def draw(session: Session) -> None:
    with st.container(key="page"):
        st.fragment(run_every=TICK if session.shown.grows else None)(_lives)(session)


def _lives(session: Session) -> None:
    if st.session_state.pop(_JUMPED, False):
        st.rerun()  # of the whole page, for the stage is no part of this fragment
    lives = session.shown.lives()
    with st.container(key="headline"):
        st.markdown(headline(lives))
    if not lives.requests:
        return
    part("blocking")(
        key=_KEY,
        data=table(lives, session.look.select if session.look.step is not None else None),
        on_cell_change=lambda: _jump(session),
    )
    if len(lives.requests) > MOST_ROWS:
        st.caption(say("blocking.more", shown=MOST_ROWS, n=len(lives.requests)))


def _jump(session: Session) -> None:
    """To the step at which the culprit of the cell cost its waiter most."""
    pair = st.session_state[_KEY].get("cell")
    cell = cells_of(session.shown.lives()).get(tuple(pair)) if pair else None
    if cell is not None:
        session.look_at(cell.step, cell.waiter)
        st.session_state[_JUMPED] = True
        st.session_state.chosen_cell = f"{cell.waiter}|{cell.culprit}"


def headline(lives: Lives) -> str:
    """Who cost the others most, in a sentence of Markdown."""
    cells = cells_of(lives)
    if not lives.requests:
        return say("blocking.nothing")
    if not cells:
        return say("blocking.nobody")
    caused = _caused(cells)
    culprit = max(caused, key=lambda id: caused[id])
    waiters = sum(cell.culprit == culprit for cell in cells.values())
    heaviest = next(iter(cells.values()))
    first = say("blocking.most", id=inert(culprit), cost=_time(caused[culprit]), n=waiters)
    second = say(
        "blocking.worst",
        waiter=inert(heaviest.waiter),
        culprit=inert(heaviest.culprit),
        cost=_time(heaviest.ns),
    )
    return say("app.sentences", first=first, second=second)


def table(lives: Lives, chosen: str | None) -> dict[str, Any]:
    """What the front end draws."""
    cells = cells_of(lives)
    caused = _caused(cells)
    heaviest = sorted(caused, key=lambda id: -caused[id])[:MOST_CULPRITS]
    shown = _shown(lives, cells)
    order = list(lives.requests)
    culprits = sorted(heaviest, key=order.index)
    unit = _SECONDS if max(life.ns for life in shown) >= 10**10 else _MILLISECONDS
    kinds = {kind for life in shown for kind in life.totals()}
    return {
        "rows": [_row(life, culprits, cells, unit) for life in shown],
        "culprits": culprits,
        "caused": [unit.write(caused[id]) for id in culprits],
        "longest": max(life.ns for life in shown),
        "largest": max((cell.ns for cell in cells.values()), default=1),
        "chosen": st.session_state.get("chosen_cell") if chosen else None,
        "text": {
            **{name: say(f"blocking.{name}", unit=unit.name) for name in _TEXTS},
            "kinds": {kind: say(f"blocking.kind_{kind}") for kind in _kinds() if kind in kinds},
        },
        "terms": {kind: terms.address(key) for kind, key in _TERMS.items()},
    }


class _Unit(NamedTuple):
    """One unit for all figures of the table."""

    name: str
    ns: int
    decimals: int

    def write(self, ns: int) -> str:
        least = 10.0**-self.decimals
        value = ns / self.ns
        return f"{value:,.{self.decimals}f}" if value >= least else f"<{least:g}"


_MILLISECONDS, _SECONDS = _Unit("ms", 10**6, 0), _Unit("s", 10**9, 2)
_TERMS = {
    "queue": "queue_time",
    "preempted": "wait_preempted",
    "recompute": "recompute",
    "prefill": "prefill",
    "decode": "decode",
    "interference": "interference",
    "stall": "stall",
    "held": "dead_slot",
}
"""Kind of a life's parts → its term in the glossary."""
_TEXTS = ("requests", "lives", "matrix", "total", "caused")


def cells_of(lives: Lives) -> Cells:
    """(waiter, culprit) → what one cost the other, the heaviest first."""
    cells = sorted(lives.matrix().cells, key=lambda cell: -cell.ns)
    return {(cell.waiter, cell.culprit): cell for cell in cells}


def _shown(lives: Lives, cells: Cells) -> list[Life]:
    """The lives that are drawn: those that waited longest for others, in order of arrival."""
    waited: dict[str, int] = {}
    for cell in cells.values():
        waited[cell.waiter] = waited.get(cell.waiter, 0) + cell.ns
    picked = sorted(lives.requests, key=lambda id: -waited.get(id, 0))[:MOST_ROWS]
    return [life for id, life in lives.requests.items() if id in picked]


def _row(life: Life, culprits: list[str], cells: Cells, unit: _Unit) -> dict[str, Any]:
    totals = life.totals()
    parts = [
        [kind, culprit, ns, _told(kind, culprit, ns)]
        for kind in _kinds()
        for culprit, ns in totals.get(kind, {}).items()
        if ns
    ]
    found = [cells.get((life.id, culprit)) for culprit in culprits]
    return {
        "id": life.id,
        "total": unit.write(life.ns),
        "parts": parts,
        "cells": [cell and [cell.ns, unit.write(cell.ns), _cell_words(cell)] for cell in found],
    }


def _cell_words(cell: Cell) -> str:
    parts = ", ".join(
        f"{say(f'blocking.kind_{kind}')} {_time(ns)}" for kind, ns in cell.kinds.items()
    )
    return say(
        "blocking.cell",
        waiter=cell.waiter,
        culprit=cell.culprit,
        cost=_time(cell.ns),
        parts=parts,
        step=cell.step,
    )


def _told(kind: str, culprit: str, ns: int) -> str:
    from minillm.trace.culprits import NOBODY_ELSE

    words = f"{say(f'blocking.kind_{kind}')}: {_time(ns)}"
    return words if culprit in NOBODY_ELSE else f"{words} · {culprit}"


def _caused(cells: Cells) -> dict[str, int]:
    """Culprit → ns that it cost the others."""
    caused: dict[str, int] = {}
    for cell in cells.values():
        caused[cell.culprit] = caused.get(cell.culprit, 0) + cell.ns
    return caused


def _kinds() -> tuple[str, ...]:
    from minillm.trace.lives import KINDS

    return KINDS


def _time(ns: int) -> str:
    return milliseconds(ns / 1e6)
