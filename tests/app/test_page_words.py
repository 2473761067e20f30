"""The page's sentences: nothing that others wrote is taken for markup."""

from __future__ import annotations

from backstage.choice import Choice
from backstage.shown import from_bundle
from backstage.words import inert, question, summary

from minillm.trace.trace import Trace


def test_text_of_others_is_inert() -> None:
    hostile = "<script>alert(1)</script> [a](javascript:x) **b** `c` $x$ :red[d]\n# e\u202eabc\x00"
    shown = inert(hostile)
    for character in "<>[]*`$:#":
        assert f"\\{character}" in shown
        assert character not in shown.replace(f"\\{character}", "")
    assert "\n" not in shown
    assert "\u202e" not in shown
    assert "\x00" not in shown


def test_the_question_is_that_of_what_is_on_the_stage() -> None:
    header = from_bundle("long-prompt-vllm").trace.header
    assert "Who waits, and how long" in question("en", header, Choice())
    other = question("en", header, Choice(scheduler="static"))
    assert "**vllm**" in other
    assert "**static**" in other
    assert "Who waits, and how long" in question(
        "en", header, Choice(scene="memory", scheduler="vllm")
    )


def test_the_summary_says_who_was_completed_and_how_soon() -> None:
    trace = from_bundle("memory-vllm").trace
    words = summary("en", trace)
    assert words.startswith(f"**vllm**: {len(trace.requests)} of {len(trace.requests)} requests")
    assert "first token after" in words
    assert "–" in summary("en", Trace(trace.header))


def test_the_sentences_are_in_the_language_that_is_asked_for() -> None:
    trace = from_bundle("memory-vllm").trace
    assert "首 token" in summary("zh", trace)
    assert "实时运行" in question("zh", trace.header, Choice(scene="memory", scheduler="orca"))
