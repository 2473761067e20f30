"""The Live page through AppTest: what a browser fetches beside it is in test_feeds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

MAIN = Path(__file__).parents[2] / "app" / "main.py"


@pytest.fixture
def page() -> Iterator[Any]:
    """`page(**query)` opens the app; its engines end with the test."""
    opened: list[AppTest] = []

    def open_page(**query: str) -> AppTest:
        at = AppTest.from_file(str(MAIN), default_timeout=120)
        for name, value in query.items():
            at.query_params[name] = value
        opened.append(at)
        return at.run()

    yield open_page
    for at in opened:
        run = at.session_state["session"].shown.run
        if run is not None:
            run.close()


def stage(at: AppTest) -> dict[str, Any]:
    """What the page gave the stage in its last run."""
    assert not at.exception, at.exception
    (element,) = [e for e in at.get("bidi_component") if e.proto.component_name == "minillm_stage"]
    return json.loads(element.proto.json)


def widget(at: AppTest, name: str) -> Any:
    """The widget that chooses `name`."""
    key = at.session_state["session"].key(name)
    (found,) = [w for w in (*at.selectbox, *at.number_input, *at.text_input) if w.key == key]
    return found


def errors(at: AppTest) -> str:
    return "\n".join(e.value for e in at.error)


def run_of(at: AppTest) -> Any:
    return at.session_state["session"].shown.run


def test_the_page_opens_with_a_recording_that_plays(page) -> None:
    at = page()
    data = stage(at)
    assert data["mode"] == "replay"
    assert data["header"]["scene"] == "long-prompt"
    assert data["options"]["autoplay"] is True
    assert data["options"]["start"] > 0
    assert data["total"] == len(data["records"])
    assert not errors(at)
    assert not at.query_params


def test_nothing_heavy_is_imported_before_the_stage_is_mounted() -> None:
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(MAIN.parent)!r})\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"at = AppTest.from_file({str(MAIN)!r}, default_timeout=60).run()\n"
        "assert not at.exception, at.exception\n"
        "assert len(at.get('bidi_component')) >= 2\n"
        "print([m for m in ('torch', 'transformers', 'altair') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_a_link_opens_what_it_says(page) -> None:
    at = page(scene="memory", scheduler="orca", seed="3")
    assert widget(at, "scene").value == "memory"
    assert widget(at, "scheduler").value == "orca"
    assert widget(at, "seed").value == 3
    assert stage(at)["header"]["scheduler"] == "orca"
    assert at.query_params == {"scene": "memory", "scheduler": "orca", "seed": "3"}


def test_a_link_that_cannot_be_followed_says_so(page) -> None:
    at = page(scene="nope", num_blocks="x", frobnicate="1")
    assert "link parameter scene=nope" in errors(at)
    assert len(at.error) == 3
    assert stage(at)["header"]["scene"] == "long-prompt"


def test_choosing_a_scene_shows_its_recording(page) -> None:
    at = page()
    widget(at, "scene").select("static").run()
    assert widget(at, "scheduler").value == "static"
    assert stage(at)["header"]["scene"] == "static"
    assert at.query_params == {"scene": "static"}


def test_a_live_run_pauses_steps_and_is_run_again(page, until) -> None:
    at = page()
    at.button(key="run").click().run()
    assert not errors(at)
    run = run_of(at)
    assert stage(at)["mode"] == "live"
    until(lambda: len(run.recorder.trace.steps) > 2)
    run.pause()
    session = stage(at.run())["session"]
    at.button(key="try_next").click().run()
    assert widget(at, "scheduler").value == "sarathi"
    second = run_of(at)
    until(lambda: not run.alive)
    assert second.recorder.header.scheduler == "sarathi"
    assert second.recorder.header.seed == run.recorder.header.seed
    assert stage(at)["session"] != session
    at.button(key="reset").click().run()
    until(lambda: not second.alive)
    assert stage(at)["mode"] == "replay"


def test_impossible_settings_are_told_and_the_page_goes_on(page, until) -> None:
    at = page()
    widget(at, "num_blocks").set_value(0)
    at.button(key="run").click().run()
    assert "num\\_blocks must be at least 1, got 0" in errors(at)
    assert stage(at)["mode"] == "replay"
    widget(at, "num_blocks").set_value(100)
    widget(at, "model").set_value("/no/such/folder")
    at.button(key="run").click().run()
    assert "no model folder" in errors(at)
    widget(at, "model").set_value("pocket")
    at.button(key="run").click().run()
    assert not errors(at)
    good = run_of(at)
    widget(at, "max_num_batched_tokens").set_value(2)
    widget(at, "max_num_seqs").set_value(5)
    at.button(key="run").click().run()
    assert "max\\_num\\_seqs 5 is above" in errors(at)
    assert run_of(at) is good
    assert good.alive


def test_requests_that_cannot_fit_are_told(page, until) -> None:
    at = page(num_blocks="40", pace="full")
    at.button(key="run").click().run()
    until(lambda: run_of(at).idle)
    at.run()
    assert "Rejected" in errors(at)
    assert "never fit the KV pool" in errors(at)


def test_own_prompts_are_served_or_refused_with_a_reason(page, until) -> None:
    at = page(pace="full")
    at.button(key="run").click().run()
    run = run_of(at)
    until(lambda: run.idle)

    def send(text: str) -> AppTest:
        at.text_area(key="own_prompt").set_value(text)
        next(b for b in at.button if b.label == "Send").click().run()
        return at

    assert "empty" in errors(send(" \n "))
    assert "at most 2,047 fit" in errors(send("word " * 5000))
    before = len(run.recorder.trace.requests)
    hostile = "<script>alert(1)</script>\x00\x1b[31m\u202eabc \ud83d\ude00"
    send(hostile.encode("utf-16", "surrogatepass").decode("utf-16"))
    assert not errors(at)
    until(lambda: run.idle and len(run.recorder.trace.requests) == before + 1)
    request = run.recorder.trace.requests[-1]
    assert request.completed
    assert request.client == "you"
    assert "<script>alert(1)</script>" in request.prompt
    shown = at.run().session_state["session"].shown
    shown.catch_up()
    assert any(b"<script>" in record for record in shown.records)


def test_an_engine_problem_is_shown(page, until) -> None:
    at = page()
    at.button(key="run").click().run()
    run = run_of(at)
    run._driver.step = lambda: 1 / 0
    until(lambda: run.problem)
    at.run()
    assert "The engine stopped" in errors(at)
    assert "ZeroDivisionError" in errors(at)
    at.button(key="run").click().run()
    assert not errors(at)


def test_a_closed_engine_is_told(page, until) -> None:
    """As after a lost connection: the session remains, its engine does not."""
    at = page()
    at.button(key="run").click().run()
    run_of(at).close()
    assert "connection was lost" in errors(at.run())


def test_recordings_are_opened_or_refused(page, tmp_path) -> None:
    from minillm.recordings import bundled

    at = page()
    data = bundled("static-orca").read_bytes()
    at.file_uploader(key="opened").set_value(("mine.jsonl", data, "application/jsonl")).run()
    assert not errors(at)
    assert stage(at)["header"]["scheduler"] == "orca"
    broken = data.replace(b'{"n":5,', b'{"n":7,')
    at.file_uploader(key="opened").set_value(("bad.jsonl", broken, "application/jsonl")).run()
    assert "bad.jsonl line" in errors(at)
    assert stage(at)["header"]["scheduler"] == "orca"
    at.file_uploader(key="opened").set_value(
        ("cat.png", b"\x89PNG\r\n\x1a\n\x00", "image/png")
    ).run()
    assert "not a trace" in errors(at)


def test_opening_says_how_far_it_is(monkeypatch) -> None:
    """The words and the bar, as the page shows them, while a file is read."""
    from backstage import opening

    told: list[tuple[float, str]] = []

    class Slow:
        """A session whose file is opened in two strides, and then is there."""

        opening = type("Upload", (), {"name": "<b>.jsonl"})()

    def open_asked(session, progress) -> None:
        progress(0.25)
        progress(1.0)

    class Bar:
        def progress(self, share, words) -> None:
            told.append((share, words))

    monkeypatch.setattr(
        opening.st, "progress", lambda share, words: told.append((share, words)) or Bar()
    )
    monkeypatch.setattr(opening.st, "rerun", lambda: None)
    monkeypatch.setattr(opening, "open_asked", open_asked)
    session: Any = Slow()
    opening.draw(session)
    assert [share for share, _ in told] == [0.0, 0.25, 1.0]
    assert told[1][1] == r"Opening \<b\>.jsonl: 25%"


def test_the_charts_follow_the_run(page, until) -> None:
    from minillm.charts import charts  # noqa: F401  what the background thread imports

    at = page(pace="full")
    assert len(at.get("vega_lite_chart")) == 2
    at.button(key="run").click().run()
    until(lambda: run_of(at).idle)
    at.run()
    assert len(at.get("vega_lite_chart")) == 2
    assert any("requests completed" in m.value for m in at.markdown)
