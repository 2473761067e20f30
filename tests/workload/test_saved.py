"""Scene files and links: what is written is read back, and nothing else is."""

from __future__ import annotations

import base64
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.messages import LANGUAGES
from minillm.workload.saved import (
    MOST_REQUESTS,
    MOST_TOKENS,
    SavedError,
    SavedScene,
    checked,
    from_file,
    from_link,
    rows_of,
    to_file,
    to_link,
)
from minillm.workload.spec import RequestSpec

rows = st.lists(
    st.fixed_dictionaries(
        {
            "arrival": st.integers(0, 3_600_000).map(lambda ms: ms / 1000),
            "prompt_len": st.integers(1, MOST_TOKENS),
            "output_len": st.integers(1, MOST_TOKENS),
            "client": st.sampled_from(["", "a", "租户", "greedy"]),
            "priority": st.integers(-1000, 1000),
        }
    ),
    min_size=1,
    max_size=30,
)
ONE = {"arrival": 0.5, "prompt_len": 4, "output_len": 2}


@given(rows)
def test_a_file_and_a_link_bring_back_the_requests(rows) -> None:
    requests = checked(rows)
    scene = SavedScene(requests, "Mine", {"scheduler": "orca"})
    assert from_file(to_file(scene).encode()) == scene
    assert from_link(to_link(requests)) == requests
    assert checked(rows_of(requests)) == requests


def test_they_are_in_order_of_arrival() -> None:
    later, sooner = checked([ONE, {**ONE, "arrival": 0}])[::-1]
    assert sooner == RequestSpec(arrival_time=0, prompt_len=4, output_len=2)
    assert later.arrival_time == 0.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arrival": -1}, "Request 1: arrival must be a number of seconds from 0 to 3600"),
        ({"arrival": float("nan")}, "arrival must be"),
        ({"arrival": True}, "arrival must be"),
        ({"prompt_len": 0}, "prompt_len must be a whole number from 1 to 131,072"),
        ({"prompt_len": 2.5}, "prompt_len must be"),
        ({"output_len": None}, "output_len must be"),
        ({"priority": 5000}, "priority must be a whole number from -1,000"),
        ({"client": "x" * 25}, "at most 24 characters"),
        ({"client": "a\nb"}, "on one line"),
        ({"promt_len": 3}, "there is no field promt_len"),
    ],
)
def test_a_request_that_cannot_be_is_refused(change, said) -> None:
    with pytest.raises(SavedError, match=said):
        checked([{**ONE, **change}])


def test_there_are_limits() -> None:
    with pytest.raises(SavedError, match="no request"):
        checked([])
    with pytest.raises(SavedError, match="more than 200 requests"):
        checked([ONE] * (MOST_REQUESTS + 1))
    with pytest.raises(SavedError, match="Request 2: it is not an object"):
        checked([ONE, 3])  # type: ignore[list-item]
    assert len(from_link(to_link(checked([ONE] * MOST_REQUESTS)))) == MOST_REQUESTS


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "line 1, character 2"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"[]", "not a scene"),
        (b'{"format": "minillm-scene", "version": 2}', "of version 2"),
        (b'{"format": "minillm-scene", "version": 1}', "no list of requests"),
        (b" " * 200_000, "more than 100,000 bytes"),
        (
            b'{"format": "minillm-scene", "version": 1, "requests": [], "title": 3}',
            "title must be text",
        ),
        (
            b'{"format": "minillm-scene", "version": 1, "requests": [], "settings": {"seed": 3}}',
            "settings",
        ),
        (b"[" * 90_000, "not text"),
    ],
)
def test_a_foreign_file_is_refused_with_the_reason(data, said) -> None:
    with pytest.raises(SavedError, match=said):
        from_file(data)


def _packed(value: object) -> str:
    data = zlib.compress(json.dumps(value).encode())
    return "1" + base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_a_damaged_link_is_refused_with_the_reason() -> None:
    whole = to_link(checked([ONE] * 20))
    changed = whole[:-4] + ("AAAA" if whole[-4:] != "AAAA" else "BBBB")
    bomb = _packed([0] * 400_000)
    assert len(bomb) < 6000
    for text in (whole[:-6], changed, "1!!", "1", bomb, _packed([[1]]), _packed(3)):
        with pytest.raises(SavedError, match="damaged"):
            from_link(text)
    with pytest.raises(SavedError, match="reads version 1"):
        from_link("2abc")
    with pytest.raises(SavedError, match="at most 6,000 characters"):
        from_link("1" * 6001)


def test_the_reason_is_told_in_any_language() -> None:
    with pytest.raises(SavedError) as caught:
        checked([{**ONE, "prompt_len": 0}])
    told = {caught.value.told(language) for language in LANGUAGES}
    assert len(told) == len(LANGUAGES)
