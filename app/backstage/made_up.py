"""Prompts of a given length, made up as those of the scenes are: some filler, then a request for a
story. What a drawn request says is not the point, but a reader should find words on the stage."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from minillm.chat import encode_prompt
from minillm.pocket.prompts import long_document_question, story_request
from minillm.pocket.stories import Length
from minillm.request import SamplingParams
from minillm.workload.spec import RequestSpec

_SHORT, _MEDIUM = 60, 190  # tokens, up to which a story is asked for in such words
_PAD = " very"  # one token of most tokenizers
_MOST_PADS = 12


def with_prompts(requests: Sequence[RequestSpec], tokenizer: Any, seed: int) -> list[RequestSpec]:
    """The requests with a text of exactly `prompt_len` tokens and `output_len` tokens to write,
    sampled. Where there is no tokenizer, or no text comes out right, a request keeps its lengths
    alone, for which an engine takes random tokens."""
    if tokenizer is None:
        return list(requests)
    rng = random.Random(seed)
    return [_with_prompt(spec, tokenizer, rng) for spec in requests]


def _with_prompt(spec: RequestSpec, tokenizer: Any, rng: random.Random) -> RequestSpec:
    wanted, output = spec.prompt_len or 1, spec.output_len or 1
    prompt = _text(wanted, output, tokenizer, rng)
    if prompt is None:
        return spec
    sampling = SamplingParams(temperature=0.8, top_p=0.95, max_tokens=output, ignore_eos=True)
    return replace(
        spec, prompt=prompt, prompt_len=None, output_len=None, max_tokens=output, sampling=sampling
    )


def _text(wanted: int, output: int, tokenizer: Any, rng: random.Random) -> Any:
    kind: Length = "short" if output <= _SHORT else "medium" if output <= _MEDIUM else "long"
    asked = story_request(rng, kind).messages[0]["content"]
    filler = long_document_question(rng, wanted + 40).messages[0]["content"].split()

    def messages(words: int, pads: int = 0) -> list[dict[str, str]]:
        lead = " ".join(filler[:words]) + _PAD * pads
        return [{"role": "user", "content": f"{lead} {asked}".strip()}]

    def length(prompt: Any) -> int:
        return len(encode_prompt(prompt, tokenizer, template_optional=True)[1])

    if length(messages(0)) > wanted:  # no room for all of it: how it begins
        ids = encode_prompt(asked, tokenizer)[1][:wanted]
        begun = tokenizer.decode(ids)
        return begun if length(begun) == wanted else None
    fits = bisect_right(range(len(filler) + 1), wanted, key=lambda n: length(messages(n))) - 1
    for words in range(fits, max(-1, fits - 3), -1):
        for pads in range(_MOST_PADS):
            prompt = messages(words, pads)
            if (found := length(prompt)) >= wanted:
                if found == wanted:
                    return prompt
                break
    return None
