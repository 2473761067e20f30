"""`minillm bench engine`: its parts, on the bundled model and in small."""

from __future__ import annotations

import pytest
import torch

from minillm.bench.engine.bench import GOALS, ROOFLINE, Row, judge
from minillm.bench.engine.cases import (
    CONTINUOUS,
    GPU,
    LINEARS,
    MIXED,
    OWN,
    STATIC,
    nano_vllm_workload,
)
from minillm.bench.engine.linear_run import linears_alone
from minillm.bench.engine.minillm_run import StepSizes, serve
from minillm.bench.engine.requests import mixed, output_tokens
from minillm.bench.engine.transformers_runs import TransformersModel
from minillm.charts.engine_speed import engine_speed_chart
from minillm.execution.loader import load_model
from minillm.pocket import pocket_path


def test_requests_stay_within_their_bounds_and_are_the_same_again():
    requests = mixed(50, 9, (2, 4), (1, 3))
    assert requests == mixed(50, 9, (2, 4), (1, 3))
    assert requests != mixed(50, 9, (2, 4), (1, 3), seed=1)
    assert {len(request.prompt) for request in requests} == {2, 3, 4}
    assert {request.output_len for request in requests} == {1, 2, 3}
    assert {token for request in requests for token in request.prompt} == set(range(9))


def test_the_gpu_workload_is_that_of_nano_vllm():
    from random import randint, seed

    seed(0)
    prompts = [[randint(0, 10000) for _ in range(randint(100, 1024))] for _ in range(256)]
    lengths = [randint(100, 1024) for _ in range(256)]
    assert [(r.prompt, r.output_len) for r in nano_vllm_workload(256)] == list(
        zip(prompts, lengths, strict=True)
    )


def test_all_contenders_serve_the_same_requests():
    loaded = load_model("pocket", device="cpu")
    theirs = TransformersModel(pocket_path(), "cpu", "float32")
    requests = mixed(3, loaded.vocab_size, (3, 6), (2, 4))
    sizes = StepSizes()
    times = [
        serve(loaded, requests, sizes=sizes),
        theirs.continuous(requests),
        theirs.static(requests, 2),
        linears_alone(loaded.model, sizes),
    ]
    assert all(seconds.wall > 0 for seconds in times)
    prompt_tokens = sum(len(request.prompt) for request in requests)
    assert sum(sizes.sampled) == output_tokens(requests)
    assert sum(sizes.tokens) == prompt_tokens + output_tokens(requests) - len(requests)
    assert all(context > 0 and seconds > 0 for context, seconds in sizes.decodes)
    sizes.clear()
    assert sizes.tokens == sizes.sampled == sizes.decodes == []


def test_linears_alone_compute_every_token_once():
    loaded = load_model("pocket", device="cpu")
    rows: dict[str, list[int]] = {"layers": [], "head": []}
    head = loaded.model.get_output_embeddings()
    for module in loaded.model.modules():
        if isinstance(module, torch.nn.Linear):
            kind = "head" if module is head else "layers"
            module.register_forward_hook(
                lambda m, inputs, out, kind=kind: rows[kind].append(inputs[0].shape[0])
            )
    linears_alone(loaded.model, StepSizes(tokens=[5, 2], sampled=[0, 2]))
    assert rows["head"] == [2]
    assert set(rows["layers"]) == {5, 2}
    assert rows["layers"].count(5) == rows["layers"].count(2) > 0


def test_goals_are_judged_round_by_round():
    rows = [
        Row(MIXED, OWN, [10.0, 20.0, 30.0]),
        Row(MIXED, CONTINUOUS, [4.0, 10.0, 10.0]),  # ratios 2.5, 2, 3
        Row(MIXED, STATIC, [5.0, 10.0, 15.0]),
        Row(MIXED, LINEARS, [20.0, 25.0, 40.0]),  # 0.5, 0.8, 0.75
    ]
    verdicts = {(v.case, v.than): v for v in judge(rows, [])}
    assert len(verdicts) == len(GOALS)
    assert verdicts[MIXED, CONTINUOUS].reached == 2.5
    assert verdicts[MIXED, CONTINUOUS].word == "met"
    assert verdicts[MIXED, STATIC].word == "missed"
    assert verdicts[MIXED, LINEARS].reached == 0.75
    assert verdicts[GPU, CONTINUOUS].word == "not measured"
    (roofline,) = [v for v in judge(rows, [0.5, 0.7, 0.6]) if v.than == ROOFLINE]
    assert (roofline.reached, roofline.word) == (0.6, "met")


def test_a_chart_has_a_panel_for_each_case():
    rows = [Row("a", OWN, [3.0]), Row("a", STATIC, [1.0]), Row("b", OWN, [2.0])]
    machine = {"device": "this one", "torch": "2"}
    result = {"rows": [row.plain() for row in rows], "machine": machine, "dtype": "float32"}
    drawn = engine_speed_chart(result).to_dict()
    assert [panel["title"] for panel in drawn["vconcat"]] == ["a", "b"]
    assert "this one" in drawn["title"]["subtitle"][0]


def test_a_manager_that_stops_is_an_error(monkeypatch: pytest.MonkeyPatch):
    theirs = TransformersModel(pocket_path(), "cpu", "float32")
    monkeypatch.setattr(theirs.model, "forward", lambda *_, **__: 1 / 0)
    with pytest.raises(RuntimeError, match="failed"):
        theirs.continuous(mixed(1, 9, (2, 2), (2, 2)))
