"""The Recordings page: open, take away, cut, annotate."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from backstage.files import FORMATS, TABLES
from backstage.shown import from_bundle, from_file


@pytest.fixture
def trace() -> Any:
    return from_bundle("memory-vllm").trace


@pytest.mark.parametrize("key", FORMATS)
def test_every_file_holds_the_run(key: str, trace: Any) -> None:
    content = FORMATS[key][2](trace, "zh")
    if key == "trace":
        assert list(from_file(io.BytesIO(content), "x").trace.lines()) == list(trace.lines())
    elif key == "page":
        assert b'lang="zh' in content
        assert trace.header.scene.encode() in content
    elif key == "perfetto":
        names = {event.get("name") for event in json.loads(content)["traceEvents"]}
        assert "prefill" in " ".join(map(str, names))


@pytest.mark.parametrize("what", ["requests", "steps"])
def test_a_table_is_the_same_in_both_formats(what: str, trace: Any) -> None:
    from pyarrow import parquet

    text, packed = (TABLES[f"{what}_{kind}"][2](trace, "en") for kind in ("csv", "parquet"))
    rows = list(csv.DictReader(text.decode().splitlines()))
    table = parquet.read_table(io.BytesIO(packed))
    assert len(rows) == len(trace.requests if what == "requests" else trace.steps)
    assert table.num_rows == len(rows)
    assert table.column_names == list(rows[0])


def test_a_bundled_recording_is_opened_on_every_page(page: Any) -> None:
    at = page("recordings")
    at.selectbox(key="bundled").select("two-tenants-vtc").run()
    assert at.session_state["session"].shown.trace.header.scheduler == "vtc"
    at.switch_page("blocking.py").run()
    assert at.session_state["session"].shown.trace.header.scheduler == "vtc"
    assert not at.exception


def test_a_stretch_is_cut_out(page: Any) -> None:
    at = page("recordings", scene="memory")
    assert at.button(key="cut").disabled
    session = at.session_state["session"]
    at.slider(key=f"cut-{session.shown.session}").set_range(40, 80).run()
    at.button(key="cut").click().run()
    assert len(session.shown.trace.steps) == 41
    assert not at.exception
    assert any("41 steps" in each.value for each in at.markdown)


def test_a_note_is_pinned_to_the_step_that_is_shown_and_removed(page: Any) -> None:
    at = page("recordings", scene="memory", step="33")
    session = at.session_state["session"]
    at.text_area(key="note-text").set_value("Look <b>here</b>")
    at.button(key="pin").click().run()
    (note,) = session.shown.trace.notes
    assert (note.note, note.text) == (33, "Look <b>here</b>")
    assert any("\\<b\\>" in each.value for each in at.markdown)
    assert at.query_params["step"] == "33"
    at.button(key="unpin-0").click().run()
    assert session.shown.trace.notes == ()


def test_an_empty_note_is_refused_with_a_reason(page: Any) -> None:
    at = page("recordings")
    at.button(key="pin").click().run()
    assert "say something" in at.error[0].value
