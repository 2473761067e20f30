"""The route by which browsers fetch what recordings have grown by."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from streamlit import config

from backstage import runbar
from backstage.shared import feeds
from minillm.messages import DEFAULT, LANGUAGES
from minillm.stage import streamlit_feed

# Compressing would cost the engine more than the way to the browser saves.
_HEADERS = {"Cache-Control": "no-store", "Content-Encoding": "identity"}


def route() -> Route:
    """For the server, whose settings have been read."""
    base = config.get_option("server.baseUrlPath").strip("/")
    return Route("/".join(("", *filter(None, (base, streamlit_feed.PATH)))), _answer)


async def _answer(request: Request) -> Response:
    shown = feeds().get(request.path_params["token"])
    if shown is None:  # the run before, of a page that has not heard of the next
        return Response(status_code=204)
    asked = request.query_params.get("next", "")
    language = request.query_params.get("lang", DEFAULT)
    shown.catch_up()
    told = streamlit_feed.answer(
        shown.records,
        int(asked) if re.fullmatch("[0-9]{1,15}", asked) else None,
        session=shown.session,
        running=shown.engine_runs,
        more=shown.grows,
        line=runbar.line(shown, language if language in LANGUAGES else DEFAULT),
    )
    return Response(told, media_type="application/json", headers=_HEADERS)
