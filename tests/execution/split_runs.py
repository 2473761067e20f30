"""What the tests of tensor parallelism run, in a process of its own: `python split_runs.py FOLDER`.

torch.distributed belongs to a process, and transformers splits over the GPUs that it sees. So the
tests start this with none to be seen, and read what it saw from its standard output: one line of
JSON per run.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from tiny_models import VOCAB, tiny_config, tiny_model_folder

from minillm import LLM, SamplingParams
from minillm.execution.loaded_model import LoadedModel, ModelError
from minillm.execution.loader import load_model, load_split
from minillm.execution.tensor_parallel.group import ShardGroup
from minillm.trace import Trace

SIZE = 2
SAMPLE = ("llama", "qwen3", "gemma2", "mixtral", "pocket")
TIGHT: dict[str, Any] = {  # chunks, preemption, shared prefixes: all at once
    "block_size": 4,
    "num_blocks": 21,
    "max_num_batched_tokens": 16,
    "max_num_seqs": 4,
}
PREEMPTIONS = ("recompute", "swap")


def prompts() -> list[list[int]]:
    """Two of them begin alike, so that the prefix cache has something to find."""
    rng = torch.Generator().manual_seed(0)
    made = [torch.randint(3, VOCAB, (n,), generator=rng).tolist() for n in (45, 3, 22, 31)]
    return [*made, [*made[0][:24], 5]]


def tell(run: str, **seen: Any) -> None:
    print(json.dumps({"run": run, **seen}), flush=True)


def answers(llm: LLM) -> dict[str, Any]:
    """Greedy tokens with log-probabilities, and two random answers to one prompt."""
    greedy = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True, logprobs=3)
    outputs = [output.outputs[0] for output in llm.generate(prompts(), greedy)]
    random = SamplingParams(temperature=1, seed=7, n=2, max_tokens=8, ignore_eos=True)
    drawn = llm.generate(prompts()[:2], random)
    return {
        "greedy": [output.token_ids for output in outputs],
        "logprobs": [
            [
                entry[token].logprob
                for token, entry in zip(o.token_ids, o.logprobs or (), strict=True)
            ]
            for o in outputs
        ],
        "random": [[each.token_ids for each in output.outputs] for output in drawn],
    }


def happened(trace: Trace) -> dict[str, int]:
    """How often what the test is about came to pass."""
    events = [type(event).__name__ for step in trace.steps for event in step.events]
    chunks = [tokens for step in trace.steps for _, tokens in step.prefills]
    cached = [getattr(event, "cached_tokens", 0) for step in trace.steps for event in step.events]
    return {
        "preempted": events.count("Preempted"),
        "swapped": events.count("SwappedIn"),
        "chunks": len(chunks),
        "cached": sum(cached),
    }


def families(group: ShardGroup, tmp: Path, names: list[str]) -> None:
    """Each family split and whole, under each way to preempt."""
    for name in names:
        folder = name if name == "pocket" else str(tiny_model_folder(name, tmp))
        split, whole = load_split(group, folder), load_model(folder)
        for preemption in PREEMPTIONS:
            settings = {**TIGHT, "preemption": preemption}
            one, two = LLM(whole, **settings), LLM(split, **settings)
            tell(
                f"{name} {preemption}",
                whole=answers(one),
                split=answers(two),
                happened=happened(two.trace),
                kv_heads=[next(iter(m.layer_shapes.values())).num_kv_heads for m in (whole, split)],
            )
        if name == "llama":
            header(split, whole)


def header(split: LoadedModel, whole: LoadedModel) -> None:
    headers = [LLM(model).trace.header for model in (split, whole)]
    tell(
        "header",
        tensor_parallel=[each.tensor_parallel for each in headers],
        kv_bytes_per_token=[each.kv_bytes_per_token for each in headers],
        device=[each.device for each in headers],
    )


def wrong_plan(group: ShardGroup, tmp: Path) -> None:
    """A plan with one rule too many: no rank finds anything amiss on its own."""
    wrong = tiny_model_folder("llama", tmp)
    settings: dict[str, Any] = json.loads((wrong / "config.json").read_text())
    plan = dict(tiny_config("llama").base_model_tp_plan)
    # the rule is for what all ranks add up; here it halves the input of every MLP
    settings["base_model_tp_plan"] = {**plan, "layers.*.mlp": "moe_identity_expert"}
    (wrong / "config.json").write_text(json.dumps(settings))
    try:
        load_split(group, str(wrong))
    except ModelError as error:
        tell("wrong plan", error=str(error))


def failures() -> None:
    """What a rank's failure looks like from rank 0, and who is left after it."""
    group = ShardGroup(SIZE, "gloo")
    llm = LLM(load_split(group, "pocket"), num_blocks=64)
    sender: Any = llm.engine.executor._sender  # type: ignore[reportAttributeAccessIssue]
    updates = sender.updates

    def beyond_the_pool(rows: Any) -> Any:
        return [each._replace(blocks=[b + 64 for b in each.blocks]) for each in updates(rows)]

    sender.updates = beyond_the_pool
    error, again = errors_of(llm), ""
    try:
        load_split(group, "pocket")
    except RuntimeError as raised:
        again = str(raised)
    codes = [process.poll() for process in group.processes]
    tell("raises in a forward", error=error, again=again, codes=codes)

    group = ShardGroup(SIZE, "gloo")
    llm = LLM(load_split(group, "pocket"))
    assert not errors_of(llm)
    (process,) = group.processes
    tell("ready", pids=[os.getpid(), process.pid])
    sys.stdin.readline()  # the test kills this process here


def errors_of(llm: LLM) -> list[str]:
    """What the executor raises in one request; an engine only logs it."""
    executor: Any = llm.engine.executor
    execute = executor.execute
    errors: list[str] = []

    def watched(rows: Any, moves: Any) -> Any:
        try:
            return execute(rows, moves)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")
            raise

    executor.execute = watched
    llm.engine.add_request([5, 6, 7], SamplingParams(temperature=0, max_tokens=4))
    while llm.engine.has_unfinished:
        llm.engine.step()
    return errors


if __name__ == "__main__":
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()
    torch.set_num_threads(1)
    where, what, *names = sys.argv[1:]
    if what == "families":
        made = ShardGroup(SIZE, "gloo")
        families(made, Path(where), names)
        wrong_plan(made, Path(where))
        made.close()
        tell("closed", codes=[process.poll() for process in made.processes])
    else:
        failures()
