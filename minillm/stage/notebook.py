"""The stage in a notebook, through anywidget, which is imported when something is shown."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from minillm.messages import DEFAULT, spoken
from minillm.stage.bundle import bundle, stylesheet
from minillm.stage.payload import payload

if TYPE_CHECKING:
    from minillm.trace import Trace


def show(trace: Trace, *, height: int = 620, language: str = DEFAULT, **options: Any) -> Any:
    """A widget that plays `trace`. `height` is in CSS px; `language` is one of
    `minillm.messages.LANGUAGES`; `options` go to the stage: `step` (shown first), `autoplay`,
    `select`, `present`, `notes`, `compact`, `theme`. `widget.state` is where the stage rests,
    `{"step", "selection", "playing"}`; `widget.options = {**widget.options, "step": 41}` moves it.

    Raises ModuleNotFoundError, with what to install, where anywidget is missing.
    """
    given = {"height": height, "language": spoken(language), **options}
    return _widget()(traces=f"[{_payload(trace)}]", options=given)


def compare(
    a: Trace, b: Trace, *, height: int = 1080, language: str = DEFAULT, **options: Any
) -> Any:
    """A widget that plays two traces, `a` above `b`, by one clock: both show the same moment of
    engine time, on axes of the same length, and a request selected in one is selected in both."""
    given = {"height": height, "language": spoken(language), "compact": True, **options}
    return _widget()(traces=f"[{_payload(a)},{_payload(b)}]", options=given)


def _payload(trace: Trace) -> str:
    """JSON of one trace: its header and its records."""
    header, *records = trace.lines()
    return payload(header, records)


@cache
def _widget() -> Any:
    try:
        import anywidget
        import traitlets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is needed to show a trace in a notebook: "
            "pip install 'minillm-lab[lessons]'"
        ) from None

    class StageWidget(anywidget.AnyWidget):
        _esm = bundle("anywidget")
        _css = stylesheet()
        traces = traitlets.Unicode("[]").tag(sync=True)
        options = traitlets.Dict().tag(sync=True)
        state = traitlets.Dict().tag(sync=True)

        def __repr__(self) -> str:
            traces = json.loads(self.traces)
            return f"<stage of {len(traces)} {'trace' if len(traces) == 1 else 'traces'}>"

    return StageWidget
