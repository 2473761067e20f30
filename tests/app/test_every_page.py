"""What holds on every page, in a real Chromium: axe-core is content, the keyboard reaches all, and
a Chinese page is Chinese; the whole matrix of windows, themes and languages in `full`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from backstage.shell import PAGES
from browser_tabs import CHROMIUM, Tab

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

CHART, STAGE = "[data-testid=stVegaLiteChart] svg", ".minillm-readout"
FIRST = {"memory": CHART, "roofline": CHART, "glossary": "h3", "kernel": STAGE}
"""What a page that shows no stage first begins with."""
RUNNING = '[data-testid="stApp"]:not([data-test-script-state="notRunning"])'
SENTENCE = re.compile(r"[A-Za-z]{2,}(?:[ ,:;'’-]+[A-Za-z]{2,}){2,}")
NAMES = re.compile(
    "vllm bench serve|out, gate, up|Skip to main content|inter-token latency|end-to-end latency"
    "|grouped-query attention"
    "|time (?:to|per) [a-z ]*token|Upload|200MB per file"
)
"""English that stays: a command, operators, what an abbreviation stands for, and words of
Streamlit's that are seen by nobody or only while they have the focus."""
SEE = """() => {
    const lines = [];
    const visit = (root) => {
        const hidden = "script, style, em, .minillm-readout, [aria-hidden=true], .ms-text";
        const walker = document.createTreeWalker(root, 5); // elements and texts
        for (let node = walker.currentNode; node; node = walker.nextNode()) {
            if (node.shadowRoot) visit(node.shadowRoot);
            if (node.nodeType !== Node.TEXT_NODE || !node.textContent.trim()) continue;
            const parent = node.parentElement;
            if (!parent || parent.closest(hidden) || !parent.checkVisibility()) continue;
            lines.push(node.textContent.trim());
        }
    };
    visit(document.body);
    return lines;
}"""
FOCUS = """() => {
    let node = document.activeElement;
    while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
    const rings = [];
    const around = "[data-baseweb=select], [data-baseweb=input], [data-baseweb=textarea],"
        + "[data-testid=stNumberInputContainer], [data-testid=stTextAreaRootElement]";
    for (const each of [node, node.closest(around)]) {
        if (!each) continue;
        const style = getComputedStyle(each);
        rings.push(style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1);
    }
    const name = node.getAttribute("aria-label") || node.innerText || node.tagName;
    return { name: name.trim().slice(0, 80), ring: rings.some(Boolean),
        body: node === document.body, stage: Boolean(node.closest(".minillm-stage")) };
}"""


def link(page: str, language: str) -> str:
    return f"{'' if page == PAGES[0] else page}?lang={language}"


def rest(tab: Tab) -> None:
    """Until the page's script has ended and its charts are drawn."""
    tab.page.locator(RUNNING).wait_for(state="detached")
    tab.page.locator("[data-testid=stSkeleton]").first.wait_for(state="detached")


@pytest.fixture(scope="module", params=PAGES)
def one(request: Any, browser: Any, address: str) -> Iterator[Tab]:
    """A tab with a page, which its tests share."""
    tab = Tab(
        browser, f"{address}/{link(request.param, 'en')}", first=FIRST.get(request.param, STAGE)
    )
    rest(tab)
    yield tab
    tab.page.close()


def test_axe_finds_nothing_serious(one: Tab) -> None:
    found = {}
    for theme in ("light", "dark"):
        one.page.emulate_media(color_scheme=theme)
        one.page.wait_for_function(
            "dark => (getComputedStyle(document.querySelector('.stApp')).backgroundColor"
            " === 'rgb(17, 22, 29)') === dark",
            arg=theme == "dark",
        )
        rest(one)
        for rule in axe.Axe().run(one.page).response["violations"]:
            if rule["impact"] in ("serious", "critical"):
                nodes = [node["html"][:160] for node in rule["nodes"]]
                found[theme, rule["id"]] = (len(nodes), nodes[:3])
    assert found == {}


def test_tab_reaches_everything_and_is_seen(one: Tab) -> None:
    one.page.evaluate("() => document.activeElement?.blur()")
    one.page.locator(".wordmark").click()
    seen: list[dict[str, Any]] = []
    for _ in range(200):
        one.page.keyboard.press("Tab")
        focus = one.page.evaluate(FOCUS)
        if focus["body"]:
            break
        seen.append(focus)
    names = {focus["name"] for focus in seen}
    selector = "[role=combobox], [data-testid=stButton] button, [role=slider]"
    wanted = one.page.locator(".stMain").locator(selector).filter(visible=True)
    for control in wanted.all()[:12]:
        if control.is_enabled():
            name = control.get_attribute("aria-label") or control.inner_text()
            assert name.strip()[:80] in names
    assert [focus["name"] for focus in seen if not focus["ring"]] == []
    if one.page.locator(".minillm-stage").count():
        assert any(focus["stage"] for focus in seen)


def test_a_chinese_page_is_chinese(one: Tab) -> None:
    one.button("简体中文").click()
    one.button("English").wait_for()
    rest(one)
    assert english(one) == []


def english(tab: Tab) -> list[str]:
    """The lines with three English words in a row, less the names that stay."""
    texts = tab.page.evaluate(SEE)
    return [text for text in texts if SENTENCE.search(NAMES.sub("", text))]


WINDOWS = {"1280": (1280, 720), "1920": (1920, 1080)}
SAMPLE = {(name, "1920", "dark", "zh") for name in ("live", "compare", "blocking")}
MATRIX = [
    pytest.param(*case, marks=[] if case in SAMPLE else pytest.mark.full)
    for case in (
        (page, window, theme, language)
        for page in PAGES
        for window in WINDOWS
        for theme in ("light", "dark")
        for language in ("en", "zh")
    )
]


@pytest.mark.parametrize(("page", "window", "theme", "language"), MATRIX)
def test_a_page_fits_its_window(
    browser: Any, address: str, page: str, window: str, theme: str, language: str
) -> None:
    one = Tab(browser, f"{address}/{link(page, language)}", theme, FIRST.get(page, STAGE))
    width, height = WINDOWS[window]
    one.page.set_viewport_size({"width": width, "height": height})
    rest(one)
    one.picture(f"{page}-{window}-{theme}-{language}")
    main = one.page.locator(".stMain")
    assert main.evaluate("node => node.scrollWidth - node.clientWidth") == 0
    assert (
        one.page.locator(FIRST.get(page, STAGE)).first.evaluate(
            "(node) => (node.closest('.minillm-stage') ?? node).getBoundingClientRect().top"
        )
        < 0.85 * height
    ), "the point is made in the first frame"
    if language == "zh":
        assert english(one) == []
    one.page.close()
    assert one.complaints == []


@pytest.mark.parametrize("page", ["live", "compare"])
def test_a_presentation_fits_a_small_window(browser: Any, address: str, page: str) -> None:
    one = Tab(browser, f"{address}/{link(page, 'en')}&present=on", first=STAGE)
    width, height = WINDOWS["1280"]
    one.page.set_viewport_size({"width": width, "height": height})
    rest(one)
    stages = one.page.locator(".minillm-stage.ms-present")
    assert stages.count() == (2 if page == "compare" else 1)
    for stage in stages.all():
        step, lanes, blocks, sentence, words = (
            stage.locator(part).first.evaluate("node => node.getBoundingClientRect().toJSON()")
            for part in (
                *(".ms-step", ".ms-timeline", ".ms-blocks-canvas", ".ms-narration"),
                ".ms-narration > :first-child",
            )
        )
        assert step["right"] <= width
        assert lanes["bottom"] <= height
        assert blocks["height"] >= 40
        assert words["height"] <= sentence["height"], "the whole sentence is seen"
    one.page.close()
