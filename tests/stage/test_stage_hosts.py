"""The three hosts: the bundle they share, the page's safety, the protocols of Streamlit and
anywidget, each driven in Chromium with the host's side played by the test."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import synthetic_traces

from minillm.stage import compare, comparison_to_html, show, to_html
from minillm.stage.bundle import BundleError, bundle, join, stylesheet
from minillm.stage.payload import packed
from minillm.stage.streamlit_host import _acknowledged


@pytest.mark.parametrize("host", ["page", "streamlit", "streamlit_together", "anywidget"])
def test_the_bundle_is_one_module(host: str) -> None:
    source = bundle(host)
    assert not re.search(r"^import\b", source, re.MULTILINE)
    exports = re.findall(r"^export\b.*", source, re.MULTILINE)
    assert len(exports) == (0 if host == "page" else 1)
    assert "</script" not in source
    assert source.count("function createStage(") == 1


def test_the_bundle_refuses_what_breaks_its_convention(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = b;\n')
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport const b = 1;\n')
    with pytest.raises(BundleError, match="circle"):
        join(tmp_path / "a.js")
    (tmp_path / "b.js").write_text("export const b = 1;\nconst a = 2;\n")
    with pytest.raises(BundleError, match=r"a\.js: a is declared in b\.js"):
        join(tmp_path / "a.js")
    (tmp_path / "b.js").write_text("export default 1;\n")
    with pytest.raises(BundleError, match="cannot join 'export default 1;'"):
        join(tmp_path / "b.js")


def test_a_catalogue_becomes_a_constant(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text('import t from "./t.json" with { type: "json" };\nf(t);\n')
    (tmp_path / "t.json").write_text('{"a":\n  "</script> 块"}')
    assert join(tmp_path / "a.js") == 'const t = {"a": "\\u003c/script> 块"};\nf(t);\n'


def test_a_page_is_in_the_language_asked_for() -> None:
    header, records = synthetic_traces.lines(synthetic_traces.one_long())
    assert '<html lang="zh-CN">' in to_html(header, records, language="zh")
    with pytest.raises(KeyError, match="'fr'; it speaks en, zh"):
        to_html(header, records, language="fr")


def test_no_host_loads_what_it_does_not_need() -> None:
    code = (
        "import sys, minillm.stage, minillm.stage.html, minillm.stage.streamlit_host, "
        "minillm.stage.notebook\n"
        "print([m for m in ('streamlit', 'anywidget', 'torch', 'numpy', 'altair') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_page_holds_its_trace_as_inert_text() -> None:
    header, records = synthetic_traces.lines(synthetic_traces.hostile())
    page = to_html(header, records, start=3)
    assert page.count("<script") == page.count("</script>") == 2
    assert "<img" not in page
    data = re.search(r'id="minillm-trace">(.*?)</script>', page, re.DOTALL)
    assert data
    trace = json.loads(data.group(1))
    assert trace["header"] == json.loads(header)
    assert trace["records"] == [json.loads(line) for line in records]
    assert trace["options"] == {"language": "en", "start": 3}
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert "default-src &#x27;none&#x27;" in policy.group(1)
    assert "unsafe" not in policy.group(1)


def test_an_acknowledgement_counts_for_its_own_session_only() -> None:
    assert _acknowledged(None, "a") == 0
    assert _acknowledged({"ack": None}, "a") == 0
    assert _acknowledged({"ack": {"session": "a", "next": 41}}, "a") == 41
    assert _acknowledged({"ack": {"session": "a", "next": 41}}, "b") == 0
    assert _acknowledged({"ack": {"session": "a", "next": -3}}, "a") == 0


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    complaints: list[str] = []
    page = browser.new_page()
    page.set_default_timeout(10_000)
    page.on("console", lambda m: complaints.append(m.text))
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.set_content(
        f"<style>{stylesheet()}</style><div id=host style='height:600px'></div><div id=feed></div>"
    )
    yield page
    assert complaints == []
    page.close()


STREAMLIT = """async ([code, header, records]) => {
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const { default: mount } = await import(url);
    window.sent = [];
    const parentElement = document.getElementById("host").attachShadow({ mode: "open" });
    const tell = (kind) => (name, value) => sent.push([kind, name, value]);
    window.host = (session, first, last, more) => {
        window.leave = mount({ data: { session, header, first, records: records.slice(first, last),
            total: records.length, mode: "live", height: 600, options: {}, ...more },
            parentElement, setStateValue: tell("state"), setTriggerValue: tell("trigger") });
        window.root = parentElement.querySelector(".minillm-stage");
    };
    window.seen = () => JSON.parse(root.querySelector(".minillm-readout").textContent || "{}");
    window.read = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(
        () => done(seen()))));
}"""


@pytest.mark.browser
def test_streamlit_chunks_may_repeat_and_may_be_lost(page: Any) -> None:
    header, records = synthetic_traces.one_long()
    page.evaluate(STREAMLIT, [bundle("streamlit"), header, records])
    page.evaluate("() => { host('a', 0, 10); window.first = root; }")
    page.evaluate("() => host('a', 5, 20)")
    page.evaluate("() => host('a', 30, 40)")  # 20 to 29 were lost
    page.wait_for_function("() => sent.some(([, name, value]) => name === 'ack')")
    assert page.evaluate("() => sent.at(-1)") == ["state", "ack", {"session": "a", "next": 20}]
    page.evaluate("() => host('a', 20, 40)")
    page.wait_for_function("() => seen().step === 39")
    assert page.evaluate("() => root === first")
    assert page.evaluate("read")["length"] == 40


@pytest.mark.browser
def test_the_read_out_arrives_though_timers_come_early(page: Any) -> None:
    header, records = synthetic_traces.one_long()
    page.evaluate("""() => {
        const timer = setTimeout;
        const frame = requestAnimationFrame;
        window.setTimeout = (f, ms) => timer(f, ms / 2);
        window.requestAnimationFrame = (f) => timer(() => frame(f), 100); // a busy machine
    }""")
    page.evaluate(STREAMLIT, [bundle("streamlit"), header, records])
    page.evaluate("() => host('a', 0, 10)")
    page.wait_for_function("() => seen().step === 9", polling=50)
    for n in range(10, 25, 3):
        page.evaluate(f"() => host('a', {n}, {n + 3})")
        page.wait_for_function(f"() => seen().step === {n + 2}", polling=50)


@pytest.mark.browser
def test_a_long_recording_comes_packed_and_once(page: Any) -> None:
    header, records = synthetic_traces.one_long()
    page.evaluate(STREAMLIT, [bundle("streamlit"), header, records])
    whole = packed(json.dumps(records).encode())
    sent = "mode: 'replay', options: { start: 40 }"
    page.evaluate(
        f"(packed) => {{ host('a', 0, 0, {{ {sent}, packed }}); window.p = packed;"
        " window.first = root.querySelector('.ms-sentence').textContent; }",
        whole,
    )
    assert page.evaluate("() => first") == "The recording is being unpacked…"
    page.evaluate(f"() => host('a', 0, 0, {{ {sent}, packed: p }})")  # a rerun meanwhile
    page.wait_for_function("() => seen().step === 40")
    assert page.evaluate("read")["length"] == len(records) - 1
    page.wait_for_function("() => sent.some(([, name]) => name === 'ack')")
    assert page.evaluate("() => sent.at(-1)[2].next") == len(records)
    page.evaluate(f"() => host('a', {len(records)}, {len(records)}, {{ {sent}, packed: null }})")
    assert page.evaluate("read")["step"] == 40


@pytest.mark.browser
def test_streamlit_hands_on_what_is_asked_of_the_engine(page: Any) -> None:
    header, records = synthetic_traces.one_long()
    page.evaluate(STREAMLIT, [bundle("streamlit"), header, records])
    page.evaluate("() => host('a', 0, 30)")
    page.wait_for_function("() => seen().step === 29")
    page.locator("[data-action=play]").click()
    page.locator("[data-action=step]").click()
    page.locator("[data-action=speed]").nth(3).click()
    asked = page.evaluate("() => sent.filter(([kind]) => kind === 'trigger').map((s) => s[2])")
    assert [control["action"] for control in asked] == ["pause", "step", "speed"]
    assert asked[2]["value"] is None
    page.evaluate("""() => { host('a', 30, 31); window.dispatchEvent(new CustomEvent("minillm-feed",
        { detail: { session: "a", first: 31, records: [], running: false } })); }""")
    page.wait_for_function("() => seen().step === 30")
    assert not page.evaluate("read")["playing"]

    page.locator("[data-action=back]").click()  # into the past: the cursor moves, not the engine
    page.locator("[data-action=step]").click()
    page.locator("[data-action=back]").click()
    page.evaluate("() => host('a', 31, 33)")
    past = page.evaluate("read")
    assert (past["step"], past["following"]) == (29, False)
    assert page.locator(".ms-past").inner_text() == "in the past, 3 behind"
    page.locator("[data-action=end]").click()
    assert page.evaluate("read")["following"]
    assert page.evaluate("() => sent.filter(([kind]) => kind === 'trigger').length") == 3


FEED = """async ([code, header, records]) => {
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const { default: mount } = await import(url);
    const parentElement = document.getElementById("host").attachShadow({ mode: "open" });
    window.asked = [];
    window.rests = [];
    window.answers = 200;
    window.there = { session: "a", total: 10, running: true, more: true, line: "10 steps" };
    window.fetch = async (address) => {
        const query = new URL(address).searchParams;
        asked.push([new URL(address).pathname, Number(query.get("next")), query.get("lang")]);
        const first = Number(query.get("next"));
        const fresh = records.slice(first, Math.min(first + 8, there.total));
        return { status: answers, json: async () => ({ ...there, first, records: fresh }) };
    };
    window.feed = (more) => {
        window.unfeed = mount({ data: { token: "t", session: "a", language: "en", more },
            parentElement, setTriggerValue: (name) => rests.push(name) });
        window.words = () => parentElement.querySelector("p").textContent;
    };
}"""


@pytest.fixture
def fed(page: Any) -> Any:
    """A page with a live stage and what feeds it, below an address as Streamlit's."""
    header, records = synthetic_traces.one_long()
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.type = "text/plain";
        script.src = "http://localhost/base/static/js/index.js";
        document.head.append(script);
    }""")
    page.evaluate(FEED.replace('"host"', '"feed"'), [bundle("streamlit_feed"), header, records])
    page.evaluate(STREAMLIT, [bundle("streamlit"), header, records])
    return page


@pytest.mark.browser
def test_a_stage_is_fed_from_where_it_stands(fed: Any) -> None:
    fed.evaluate("() => feed(true)")  # before there is a stage to feed
    fed.evaluate("() => host('a', 0, 0)")
    fed.wait_for_function("() => seen().step === 9")
    assert fed.evaluate("() => asked.slice(0, 2)") == [
        ["/base/feed/t", 0, "en"],
        ["/base/feed/t", 8, "en"],
    ]
    assert fed.evaluate("() => words()") == "10 steps"
    fed.evaluate("() => { there = { ...there, total: 40 }; }")
    fed.wait_for_function("() => seen().step === 39")
    assert fed.evaluate("() => rests.length") == 0
    fed.evaluate("() => unfeed()")


@pytest.mark.browser
def test_a_feed_rests_with_the_engine_and_wakes_with_the_controls(fed: Any) -> None:
    fed.evaluate("() => { feed(true); host('a', 0, 0); }")
    fed.wait_for_function("() => seen().step === 9")
    fed.evaluate("() => { there = { ...there, running: false, more: false }; }")
    fed.wait_for_function("() => rests.length === 1")
    assert not fed.evaluate("read")["playing"]
    fed.evaluate("() => { asked.length = 0; feed(false); }")
    fed.wait_for_function("() => asked.length === 1")
    fed.evaluate("() => { there = { ...there, total: 11 }; }")
    fed.locator("[data-action=step]").click()
    fed.wait_for_function("() => seen().step === 10")
    assert fed.evaluate("() => rests.length") == 1, "the page knew that it rests"
    fed.evaluate("() => unfeed()")


@pytest.mark.browser
def test_a_feed_outlives_a_server_in_front_that_cannot_answer(fed: Any) -> None:
    fed.evaluate("() => { feed(true); host('a', 0, 0); }")
    fed.wait_for_function("() => seen().step === 9")
    fed.evaluate("() => { asked.length = 0; answers = 503; there = { ...there, total: 12 }; }")
    fed.wait_for_function("() => asked.length === 1")
    fed.evaluate("() => { answers = 200; }")
    fed.wait_for_function("() => seen().step === 11")
    assert fed.evaluate("() => rests.length") == 0
    fed.evaluate("() => unfeed()")


@pytest.mark.browser
def test_what_arrives_is_played_until_the_next(fed: Any) -> None:
    """Eight steps at a time, each is seen."""
    fed.evaluate("""() => {
        window.drawn = new Set();
        window.addEventListener("minillm-moment", ({ detail }) => drawn.add(detail.position));
        there = { ...there, total: 8 };
        feed(true);
        host('a', 0, 0);
    }""")
    for total in (16, 24, 32):
        fed.wait_for_function(f"() => drawn.has({total - 9})")
        fed.evaluate(f"() => {{ there = {{ ...there, total: {total} }}; }}")
    fed.wait_for_function("() => drawn.has(31)")
    assert fed.evaluate("() => [...drawn].filter((position) => position >= 8).length") >= 20
    fed.evaluate("() => unfeed()")


@pytest.mark.browser
def test_a_recording_in_chunks_goes_to_its_start_when_that_arrives(page: Any) -> None:
    header, records = synthetic_traces.one_long()
    page.evaluate(STREAMLIT, [bundle("streamlit"), header, records])
    replay = "{ mode: 'replay', options: { start: 25 } }"
    page.evaluate(f"() => host('a', 0, 10, {replay})")
    page.wait_for_function("() => seen().step === 9")
    page.evaluate(f"() => host('a', 10, 40, {replay})")
    page.wait_for_function("() => seen().step === 25")
    page.locator("[data-action=step]").click()
    page.evaluate(f"() => host('a', 40, 60, {replay})")
    page.wait_for_function("() => seen().length === 60")
    assert page.evaluate("read")["step"] == 26


@pytest.mark.browser
def test_streamlit_hears_where_the_stage_rests(page: Any) -> None:
    header, records = synthetic_traces.one_long()
    page.evaluate(STREAMLIT, [bundle("streamlit"), header, records])
    replay = "{ mode: 'replay', reports: true, goto: { step: 12, select: null, heard: 0 } }"
    page.evaluate(f"() => host('a', 0, 89, {replay})")
    states = "sent.filter(([, name]) => name === 'state').map((s) => s[2])"
    page.wait_for_function(f"() => {states}.length === 1")
    told = page.evaluate(f"() => {states}[0]")
    where = {"step": 12, "selection": None, "playing": False}
    assert told == {**where, "session": "a", "serial": 1, "order": 0}
    page.locator("[data-action=play]").click()
    page.wait_for_function("() => seen().step >= 16")
    page.locator(".ms-slots button").first.click()
    page.locator("[data-action=play]").click()
    page.wait_for_function(f"() => {states}.length >= 3")
    assert [state["playing"] for state in page.evaluate(f"() => {states}")] == [False, True, False]
    rest = page.evaluate(f"() => {states}.at(-1)")
    assert rest["step"] == page.evaluate("read")["step"]
    assert rest["selection"] == page.evaluate("read")["selection"] is not None


@pytest.mark.browser
def test_streamlit_moves_the_stage_without_starting_it_over(page: Any) -> None:
    header, records = synthetic_traces.one_long()
    page.evaluate(STREAMLIT, [bundle("streamlit"), header, records])

    def goto(step: int, select: str | None, heard: int, order: int = 0) -> None:
        wish = {"step": step, "select": select, "heard": heard, "order": order}
        page.evaluate("(goto) => host('a', 0, 89, { mode: 'replay', reports: true, goto })", wish)

    def stands_at(step: int) -> None:
        """It does, comes to rest there, and says so."""
        page.wait_for_function("(n) => seen().step === n && sent.at(-1)?.[2].step === n", arg=step)

    goto(12, None, 0)
    stands_at(12)
    page.evaluate("() => { window.first = root.querySelector('.ms-header'); }")
    goto(40, "7", 1)
    stands_at(40)
    assert page.evaluate("seen")["selection"] == "7"
    serial = page.evaluate("() => sent.at(-1)[2].serial")
    page.locator("[data-action=step]").click()
    stands_at(41)
    goto(40, "7", serial)  # nothing new: the user has the stage
    goto(30, None, serial)  # spoken before it heard of 41
    goto(41, "7", serial + 1)
    assert page.evaluate("read")["step"] == 41
    goto(30, None, serial + 1)
    stands_at(30)
    goto(50, "7", 0, order=1)  # whatever the stage said meanwhile
    stands_at(50)
    assert page.evaluate("() => sent.at(-1)[2].order") == 1
    page.locator("[data-action=step]").click()
    stands_at(51)
    goto(50, "7", 0, order=2)  # once more
    stands_at(50)
    assert page.evaluate("() => root.querySelector('.ms-header') === first")


@pytest.mark.browser
def test_streamlit_starts_over_with_a_new_session_and_leaves_nothing(page: Any) -> None:
    header, records = synthetic_traces.one_long()
    page.evaluate(STREAMLIT, [bundle("streamlit"), header, records])
    page.evaluate("() => host('a', 0, 30)")
    page.evaluate("() => host('b', 0, 4)")
    page.wait_for_function("() => seen().length === 4")
    page.evaluate("() => leave()")
    assert page.evaluate("() => document.getElementById('host').shadowRoot.childNodes.length") == 0


ANYWIDGET = """async ([code, traces, options]) => {
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const { default: widget } = await import(url);
    const traits = { traces: JSON.stringify(traces), options };
    const heard = {};
    const model = { get: (name) => traits[name], on(name, f) { heard[name] = f; }, off() {},
        set(name, value) { traits[name] = value; },
        save_changes() { window.saved = traits.state; } };
    window.setOptions = (more) => {
        traits.options = { ...traits.options, ...more };
        heard["change:options"]();
    };
    window.leave = widget.render({ model, el: document.getElementById("host") });
    window.readouts = () => new Promise((done) => requestAnimationFrame(() =>
        requestAnimationFrame(() => requestAnimationFrame(() => done([
            ...document.querySelectorAll(".minillm-readout")].map((n) => JSON.parse(n.textContent))
        )))));
}"""


def _as_traces(*traces: Any) -> list[dict[str, Any]]:
    return [{"header": header, "records": records} for header, records in traces]


@pytest.mark.browser
def test_a_notebook_shows_one_trace(page: Any) -> None:
    traces = _as_traces(synthetic_traces.one_long())
    page.evaluate(ANYWIDGET, [bundle("anywidget"), traces, {"height": 620, "start": 7}])
    (seen,) = page.evaluate("readouts")
    assert seen["step"] == 7
    page.evaluate("() => { document.querySelector('.ms-header').marked = true; }")
    page.evaluate("() => setOptions({ step: 30, select: '7' })")
    (seen,) = page.evaluate("readouts")
    assert (seen["step"], seen["selection"]) == (30, "7")
    page.wait_for_function("() => window.saved?.step === 30")
    assert page.evaluate("() => window.saved") == {"step": 30, "selection": "7", "playing": False}
    assert page.evaluate("() => document.querySelector('.ms-header').marked")
    page.evaluate("() => leave()")
    assert page.locator(".ms-header").count() == 0


def test_a_comparison_is_checked() -> None:
    one = synthetic_traces.lines(synthetic_traces.one_long())
    with pytest.raises(ValueError, match="1 traces cannot be compared: give 2 to 4"):
        comparison_to_html([one])
    with pytest.raises(ValueError, match="2 traces need as many names, not 1"):
        comparison_to_html([one, one], names=["a"])
    with pytest.raises(ValueError, match="unknown axis 'tokens': use one of time, step"):
        comparison_to_html([one, one], axis="tokens")  # pyright: ignore[reportArgumentType]


DIFFERENCES = [
    {"time": 300_000_000, "text": "4: first token sooner"},
    {"time": 700_000_000, "text": "<b>9</b>: done sooner"},
]


@pytest.mark.browser
def test_a_notebook_and_streamlit_speak_chinese(page: Any) -> None:
    header, records = synthetic_traces.one_long()
    options = {"height": 620, "language": "zh"}
    page.evaluate(ANYWIDGET, [bundle("anywidget"), _as_traces((header, records)), options])
    assert page.locator(".ms-waiting .ms-region-title").inner_text() == "等待"
    page.evaluate("() => leave()")
    page.evaluate(STREAMLIT, [bundle("streamlit"), header, records])
    page.evaluate("() => host('a', 0, 30, { options: { language: 'en' } })")
    assert page.locator(".ms-waiting .ms-region-title").inner_text() == "Waiting"
    page.evaluate("() => host('a', 0, 30, { options: { language: 'zh' } })")
    assert page.locator(".ms-waiting .ms-region-title").inner_text() == "等待"


def test_a_notebook_is_in_the_language_asked_for() -> None:
    header, records = synthetic_traces.lines(synthetic_traces.one_long())
    trace: Any = SimpleNamespace(lines=lambda: [header, *records])
    assert show(trace, language="zh").options["language"] == "zh"
    assert compare(trace, trace).options["language"] == "en"
    with pytest.raises(KeyError, match="'fr'; it speaks en, zh"):
        show(trace, language="fr")


@pytest.mark.browser
def test_two_traces_are_compared_by_one_clock(page: Any) -> None:
    traces = _as_traces(synthetic_traces.one_long(), synthetic_traces.static_batch())
    options = {"height": 1080, "start": 40, "names": ["A", "B"], "differences": DIFFERENCES}
    page.evaluate(ANYWIDGET, [bundle("anywidget"), traces, options])
    above, below = page.evaluate("readouts")
    assert below["step"] == 40  # the longer leads
    assert above["time"] == below["time"], "the other is in the middle of a step then"
    assert page.locator(".ms-title").all_inner_texts() == ["A", "B"]
    assert page.locator(".ms-controls:visible").count() == 1
    page.locator(".ms-slots [data-request='2']").first.click()
    assert [seen["selection"] for seen in page.evaluate("readouts")] == ["2", "2"]
    page.locator("[data-action=start]:visible").click()
    above, below = page.evaluate("readouts")
    assert (above["step"], below["step"]) == (0, 0)

    told = page.locator(".ms-difference")
    assert told.inner_text() == "2 differences ahead."
    page.locator("[data-act=difference]").click()
    above, below = page.evaluate("readouts")
    assert 300e6 <= below["time"] < 340e6
    assert told.inner_text() == "4: first token sooner"

    page.locator("[data-axis=step]").click()
    page.locator("[data-action=step]:visible").click()
    above, below = page.evaluate("readouts")
    assert above["step"] == below["step"]
    page.locator("[data-action=end]:visible").click()
    above, below = page.evaluate("readouts")
    assert (above["step"], below["step"]) == (above["length"] - 1, below["length"] - 1)
    page.wait_for_function("() => window.saved?.axis === 'step'")
    page.evaluate("() => leave()")
    assert page.locator(".ms-header").count() == 0


@pytest.mark.browser
def test_four_traces_play_in_a_page_of_their_own(browser: Any, tmp_path: Path) -> None:
    names = ("one_long", "static_batch", "memory_runs_out", "shared_prefix")
    traces = [synthetic_traces.lines(getattr(synthetic_traces, name)()) for name in names]
    path = tmp_path / "comparison.html"
    path.write_text(comparison_to_html(traces, axis="step", differences=DIFFERENCES))
    page = browser.new_page(viewport={"width": 1920, "height": 1080})
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text))
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.goto(path.as_uri() + "#step=50")
    read = "() => minillmStage.stages.map(stage => stage.readout())"
    page.wait_for_function("() => window.minillmStage?.stages.every(s => s.readout().step === 50)")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => minillmStage.stages.every(s => s.readout().step === 51)")
    page.keyboard.press("t")
    page.wait_for_function("() => minillmStage.axis() === 'time'")
    page.keyboard.press("Home")
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.wait_for_function("() => minillmStage.leader().readout().time > 600e6")
    times = "minillmStage.stages.map(stage => stage.readout().time)"
    page.wait_for_function(f"() => Math.max(...{times}) - Math.min(...{times}) < 60e6")
    page.keyboard.press("4")
    page.keyboard.press(" ")
    page.wait_for_function("() => !minillmStage.leader().readout().playing")
    ends = page.evaluate(read)
    assert [seen["step"] for seen in ends] == [seen["length"] - 1 for seen in ends]
    assert page.locator(".ms-difference").inner_text() == "<b>9</b>: done sooner"
    page.wait_for_function("() => location.hash.startsWith('#step=')")
    assert complaints == []
    page.close()


TOGETHER = """async ([code, traces]) => {
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const { default: mount } = await import(url);
    window.sent = [];
    const parentElement = document.getElementById("host").attachShadow({ mode: "open" });
    window.host = (more) => {
        window.leave = mount({ data: { session: "a", traces: JSON.stringify(traces), reports: true,
            goto: { step: null, select: null, heard: 0 }, options: { start: 12 }, ...more },
            parentElement, setStateValue: (name, value) => sent.push([name, value]) });
        window.root = parentElement;
    };
    window.steps = () => [...root.querySelectorAll(".minillm-readout")]
        .map((n) => JSON.parse(n.textContent || "{}").step);
}"""


@pytest.mark.browser
def test_streamlit_plays_several_together(page: Any) -> None:
    traces = _as_traces(synthetic_traces.one_long(), synthetic_traces.static_batch())
    page.evaluate(TOGETHER, [bundle("streamlit_together"), traces])
    page.evaluate("() => host({ options: { start: 12, axis: 'step' } })")
    page.wait_for_function("() => steps().join() === '12,12'")
    page.wait_for_function("() => sent.some(([name]) => name === 'ack')")
    page.wait_for_function("() => sent.some(([name, value]) => name === 'state')")
    assert page.evaluate("() => sent.find(([name]) => name === 'ack')[1]") == {"session": "a"}
    page.evaluate("() => { root.querySelector('.ms-cells').marked = true; }")
    goto = "goto: { step: 30, select: '5', heard: 1 }"
    same = "traces: null, options: { start: 12, axis: 'step' }"
    page.evaluate(f"() => host({{ {same}, {goto} }})")
    page.wait_for_function("() => steps().join() === '30,30'")
    assert page.evaluate("() => root.querySelector('.ms-cells').marked")
    page.evaluate("() => host({ traces: null, options: { start: 7, axis: 'step' } })")
    page.wait_for_function("() => steps().join() === '7,7'")  # other options, the same traces
    page.evaluate("() => host({ session: 'b', traces: null })")
    page.wait_for_function("() => sent.at(-1)[1] === null")  # asks for what it does not have
    page.evaluate("() => leave()")
    assert page.evaluate("() => root.childNodes.length") == 0
