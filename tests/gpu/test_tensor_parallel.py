"""One model over two GPUs, through NCCL: the same answers as on the CPU. With one GPU: refused.

make test-gpu
"""

from __future__ import annotations

import pytest
import torch
from engine.parity import NEW_TOKENS, prompts_for

from minillm import LLM, SamplingParams
from minillm.execution.loaded_model import ModelError
from minillm.execution.loader import load_model

pytestmark = pytest.mark.gpu
GREEDY = SamplingParams(temperature=0, max_tokens=NEW_TOKENS, ignore_eos=True)


def test_two_gpus_answer_as_the_cpu_does() -> None:
    if torch.cuda.device_count() < 2:
        with pytest.raises(ModelError, match="as many GPUs; torch sees 1"):
            load_model("pocket", device="cuda", tensor_parallel=2)
        return
    torch.backends.cuda.matmul.allow_tf32 = False
    loaded = load_model("pocket", device="cuda", dtype="float32", tensor_parallel=2)
    alone = LLM("pocket", device="cpu", dtype="float32", num_blocks=400)
    prompts = prompts_for(loaded.vocab_size)
    want = [output.outputs[0].token_ids for output in alone.generate(prompts, GREEDY)]
    try:
        split = LLM(loaded, block_size=16, num_blocks=40)
        got = [output.outputs[0].token_ids for output in split.generate(prompts, GREEDY)]
    finally:
        loaded.close()
    assert got == want
