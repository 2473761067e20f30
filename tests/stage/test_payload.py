"""What hosts hold of a trace: no keyframes, and packed where it is long."""

from __future__ import annotations

import base64
import gzip
import json

from minillm.stage.payload import PACK_FROM, needed, payload

HEADER = '{"minillm_trace":1}'
STEPS = ['{"n":0,"t":0,"d":1}', '{"n":1,"t":1,"d":1}']
KEYFRAME = '{"keyframe":0,"sequences":[]}'


def test_keyframes_are_left_out_but_one_that_a_recording_begins_with() -> None:
    assert list(needed([KEYFRAME, STEPS[0], KEYFRAME, "", STEPS[1]])) == [KEYFRAME, *STEPS]


def test_a_short_trace_is_plain() -> None:
    data = json.loads(payload(HEADER, STEPS, '{"start":1}'))
    assert data == {
        "header": {"minillm_trace": 1},
        "options": {"start": 1},
        "records": [json.loads(step) for step in STEPS],
    }


def test_a_long_trace_is_packed_and_the_same_each_time() -> None:
    lines = [f'{{"n":{n},"t":{n},"d":1}}' for n in range(PACK_FROM // 20)]
    data = json.loads(payload(HEADER, lines))
    assert "records" not in data
    records = json.loads(gzip.decompress(base64.b64decode(data["packed"])))
    assert records == [json.loads(line) for line in lines]
    assert payload(HEADER, lines) == payload(HEADER, lines)
