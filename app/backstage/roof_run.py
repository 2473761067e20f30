"""The run's batches on the roof of the chosen device: what each step would compute and move."""

from __future__ import annotations

from typing import Any, NamedTuple

import streamlit as st

from backstage.front import part
from backstage.session import Session
from backstage.speech import say
from minillm.costs import RooflineCostModel
from minillm.costs.roofline import forward_pass, pairs_of
from minillm.trace.fold import apply
from minillm.trace.trace import Trace

MOST_STEPS = 20_000
STAGE_HEIGHT = 470  # CSS px: the stage and the roof above it are seen together
_KEY = "roof-run"
_TEXTS = ("slope", "flat", "intensity", "slider")
_FILLED = ("step", "prefill", "decodes", "intensity", "time")  # of the point's text: there


class Batch(NamedTuple):
    """What a step's batch adds up to: sequences that decode, tokens of prefill, all its sequences,
    pairs of tokens that attention joins, tokens in its caches afterwards."""

    decodes: int
    prefill: int
    sequences: int
    pairs: float
    context: int


def draw(session: Session, costs: RooflineCostModel) -> None:
    """Nothing where nothing has run."""
    batches = _batches(session)
    if batches:
        shown, at = session.shown, session.look.step
        here = {"session": shown.session, "at": shown.start if at is None else at}
        st.markdown(f"**{say('roofline.run_title')}** {say('roofline.run', n=len(batches))}")
        part("roof_run")(
            key=_KEY,
            data={**points(batches, costs), **here},
            on_step_change=lambda: _move(session),
        )


def _batches(session: Session) -> list[Batch]:
    """Of what is shown; counted once, and on where the run grows."""
    shown = session.shown
    kept = st.session_state.get("roof-batches")
    if kept is None or kept[0] != (shown.session, len(shown.trace.steps)):
        kept = (shown.session, len(shown.trace.steps)), batches_of(shown.trace)
        st.session_state["roof-batches"] = kept
    return kept[1]


def batches_of(trace: Trace) -> list[Batch]:
    """One for each step, up to MOST_STEPS."""
    state, found = trace.state_at(-1), []
    for step in trace.steps[:MOST_STEPS]:
        apply(state, step)
        rows = [
            (kind, tokens, state.sequences[id].computed)
            for id, tokens, kind in state.batch
            if kind != "dead"
        ]
        found.append(
            Batch(
                decodes=sum(kind == "decode" for kind, _, _ in rows),
                prefill=sum(tokens for kind, tokens, _ in rows if kind == "prefill"),
                sequences=len(rows),
                pairs=sum(pairs_of(n, max(0, after - n)) for _, n, after in rows),
                context=sum(after for _, _, after in rows),
            )
        )
    return found


def points(batches: list[Batch], costs: RooflineCostModel) -> dict[str, Any]:
    """What the front end draws: for each step its operations per byte, its shortest time (ms), the
    sequences that decode and the tokens of prefill; and the roof."""
    found = [
        forward_pass(
            costs.device_shape,
            batch.decodes + batch.prefill,
            batch.pairs,
            batch.context,
            batch.sequences,
            costs.dtype_bytes,
        )
        for batch in batches
    ]
    return {
        "steps": [
            [
                float(f"{each.intensity:.4g}"),
                float(f"{each.seconds(costs.hardware) * 1e3:.3g}"),
                batch.decodes,
                batch.prefill,
            ]
            for each, batch in zip(found, batches, strict=True)
        ],
        "flops": costs.hardware.flops,
        "bandwidth": costs.hardware.bandwidth,
        "text": {
            "point": say("roofline.run_point", **{name: f"{{{name}}}" for name in _FILLED}),
            **{name: say(f"roofline.run_{name}") for name in _TEXTS},
        },
    }


def _move(session: Session) -> None:
    """To the step that the slider was let go at."""
    step = st.session_state[_KEY].get("step")
    if isinstance(step, int) and 0 <= step < len(session.shown.trace.steps):
        session.look_at(step, session.look.select)
