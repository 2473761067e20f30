"""The Altair charts: valid, light, and of one constant spec whatever the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from recorded_trace_for_charts import short_and_long

from minillm.charts.charts import latency, load_over_time
from minillm.trace import Header, Trace

EMPTY = Trace(
    Header(block_size=4, num_blocks=8, max_num_seqs=4, max_num_batched_tokens=16, max_model_len=64)
)


def _without_data(spec: Any) -> Any:
    if isinstance(spec, dict):
        return {k: _without_data(v) for k, v in spec.items() if k != "datasets"}
    return [_without_data(each) for each in spec] if isinstance(spec, list) else spec


def _marks(spec: dict[str, Any]) -> int:
    return sum(map(len, spec["datasets"].values()))


@pytest.mark.parametrize("chart", [load_over_time, latency])
def test_only_the_data_changes(chart: Callable[[Trace], Any]) -> None:
    short, long = short_and_long()
    specs = [chart(trace).to_dict() for trace in (EMPTY, short, long, long)]
    assert all(_without_data(spec) == _without_data(specs[0]) for spec in specs)
    assert specs[2] == specs[3]
    named = {view["data"]["name"] for view in specs[0]["vconcat"]}
    assert named == set(specs[0]["datasets"])
    assert '"data": {"values"' not in json.dumps(_without_data(specs[0]))
    assert _marks(specs[0]) == 0
    assert 0 < _marks(specs[1]) < _marks(specs[2]) <= 2_000
    json.dumps(specs[2], allow_nan=False)
