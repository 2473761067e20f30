"""The stage in a notebook, through anywidget (imported when it is shown)."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from minillm.stage.bundle import bundle, stylesheet
from minillm.trace import Trace


def show(trace: Trace, *, height: int = 620, **options: Any) -> Any:
    """A widget that plays `trace`: `height` in CSS px; `options` as for `to_html`.

    Raises ModuleNotFoundError, with what to install, where anywidget is missing.
    """
    return _widget()(trace=_payload(trace), options={"height": height, **options})


def _payload(trace: Trace) -> str:
    header, *records = trace.lines()
    return f'{{"header":{header},"records":[{",".join(records)}]}}'
