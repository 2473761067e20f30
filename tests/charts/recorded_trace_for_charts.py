"""Two runs of the real engine: a few steps, and more steps than a chart may have marks."""

from __future__ import annotations

from fakes import fake_engine

from minillm.request import SamplingParams
from minillm.trace import Header, Recorder, Trace


def short_and_long() -> tuple[Trace, Trace]:
    return _run(1), _run(30)


def _run(requests: int) -> Trace:
    engine = fake_engine("orca", block_size=4, num_blocks=60, max_num_seqs=1, model_max_len=120)
    config = engine.config
    recorder = Recorder(
        Header(
            block_size=config.block_size,
            num_blocks=config.num_blocks,
            max_num_seqs=config.max_num_seqs,
            max_num_batched_tokens=config.max_num_batched_tokens,
            max_model_len=config.max_model_len,
        )
    )
    engine.hooks.on("step", recorder.on_step)
    for _ in range(requests):
        sampling = SamplingParams(temperature=0, max_tokens=80, ignore_eos=True)
        engine.add_request([1, 2, 3], sampling)
    while engine.has_unfinished:
        engine.step()
    return recorder.trace
