"""The stage in a notebook, through anywidget, which is imported when something is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from minillm.messages import DEFAULT, spoken
from minillm.stage.bundle import bundle, stylesheet
from minillm.stage.payload import comparison, payload, together

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
    return _widget()(traces=f"[{payload(*_lines(trace))}]", options=given)


def compare(
    *traces: Trace,
    height: int = 1080,
    names: Sequence[str] | None = None,
    axis: Literal["time", "step"] = "time",
    differences: Sequence[Mapping[str, Any]] = (),
    language: str = DEFAULT,
    **options: Any,
) -> Any:
    """A widget that plays two to four traces with one cursor: all show the same moment of engine
    time, or the same step (`axis`, which can be switched), on axes of the same length, and a
    request selected in one is selected in all.

    `names` stand in place of their titles. `differences`, each `{"time": ns, "text": …}`, are
    flagged, told as the cursor passes them, and jumped to. `height` is in CSS px, of all together.
    ValueError where they cannot be compared so.
    """
    given = {
        "height": height,
        "language": spoken(language),
        **comparison(len(traces), names, axis, differences),
        **options,
    }
    return _widget()(traces=together(_lines(trace) for trace in traces), options=given)


def _lines(trace: Trace) -> tuple[str, list[str]]:
    header, *records = trace.lines()
    return header, records


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
