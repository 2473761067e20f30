"""How far an fp8 KV cache takes the pocket model's logits from the exact ones.

Prompts that the model can answer (`minillm.pocket.prompts`), each continued greedily with the exact
cache, in fp32. Then every position's logits again, in chunks of 16 tokens so that most keys come
out of the cache: once with the exact cache, once with fp8. Errors are absolute, in logits, over all
positions and tokens; `spread` is the standard deviation of a position's logits, for comparison.
`agreement`: positions at which both put the same token first. `identical answers`: greedy answers
with the fp8 cache that are word for word those with the exact one.

    python benchmarks/fp8_kv_cache.py [--prompts 40] [--out FILE.json]
"""

from __future__ import annotations

import argparse
import json
import platform
import random
from pathlib import Path

import torch
from rich.progress import track

from minillm import LLM, SamplingParams
from minillm.chat import encode_prompt
from minillm.execution.batch import Row
from minillm.execution.kv_scales import calibrate
from minillm.execution.kv_tensors import KVTensors, Scales
from minillm.execution.loaded_model import LoadedModel
from minillm.execution.loader import load_model
from minillm.execution.packing import PagedAttention, forward, pack
from minillm.pocket import prompts as pocket
from minillm.request import Request

CHUNK = 16
GREEDY = SamplingParams(temperature=0, max_tokens=96)


def questions(count: int) -> list[pocket.Prompt]:
    """Stories, questions about facts, long texts and sums, in turn."""
    rng = random.Random(0)
    kinds = (
        lambda: pocket.story_request(rng, "medium"),
        lambda: pocket.fact_question(rng, 6),
        lambda: pocket.long_document_question(rng, 400),
        lambda: pocket.arithmetic_question(rng),
    )
    return [kinds[i % len(kinds)]() for i in range(count)]


@torch.inference_mode()
def logits(loaded: LoadedModel, tokens: list[int], scales: Scales | None) -> torch.Tensor:
    """Of every position: [len(tokens), vocab]."""
    blocks = range(-(-len(tokens) // CHUNK))
    kv = KVTensors(loaded, num_blocks=len(blocks), block_size=CHUNK, scales=scales)
    params = SamplingParams(max_tokens=1)
    request = Request("0", 0, len(tokens), params, 1, 0, prompt_token_ids=tokens)
    parts = []
    for start in range(0, len(tokens), CHUNK):
        request.num_computed_tokens = start
        n = min(CHUNK, len(tokens) - start)
        batch = pack([Row(request, n, blocks)], CHUNK, loaded.device)
        attention = PagedAttention(batch, kv)
        parts.append(forward(loaded.model, batch, attention, torch.arange(n)))
    return torch.cat(parts)


def measure(loaded: LoadedModel, count: int) -> dict[str, float | int]:
    """All figures, over `count` prompts."""
    encoded = [encode_prompt(q.messages, loaded.tokenizer)[1] for q in questions(count)]
    answers = {}
    for dtype in ("auto", "fp8"):
        llm = LLM(loaded, kv_cache_dtype=dtype, num_blocks=2000)
        answers[dtype] = [o.outputs[0].token_ids for o in llm.generate(encoded, GREEDY)]
    scales = calibrate(loaded)
    errors, spreads, agreed = [], [], []
    for prompt, answer in track(list(zip(encoded, answers["auto"], strict=True))):
        tokens = [*prompt, *answer]
        exact, fp8 = (logits(loaded, tokens, s) for s in (None, scales))
        errors.append((fp8 - exact).abs())
        spreads.append(exact.std(-1))
        agreed.append(fp8.argmax(-1) == exact.argmax(-1))
    error, same = torch.cat(errors), torch.cat(agreed).double()
    in_answers = [a[-len(answer) :] for a, answer in zip(agreed, answers["auto"], strict=True)]
    identical = [a == b for a, b in zip(answers["auto"], answers["fp8"], strict=True)]
    return {
        "prompts": count,
        "positions": len(error),
        "max_logit_error": error.max().item(),
        "mean_logit_error": error.mean().item(),
        "spread": torch.cat(spreads).mean().item(),
        "agreement": same.mean().item(),
        "agreement_in_answers": torch.cat(in_answers).double().mean().item(),
        "identical_answers": sum(identical) / count,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    figures = measure(load_model("pocket", device="cpu", dtype="float32"), asked.prompts)
    machine = f"{platform.machine()}, torch {torch.__version__}"
    record = {"benchmark": "fp8_kv_cache", "machine": machine, **figures}
    text = json.dumps(record, indent=2)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
