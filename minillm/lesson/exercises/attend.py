"""Lesson 1: attention with a KV cache.

The judge reads the weights that each token gives to the others: V of token j is the unit vector j,
so that the output *is* the row of weights. What is seen, what is not, and what counts twice then
has a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from minillm import LLM, SamplingParams
from minillm.lesson.attention import Attend, llm_with, masked_attention
from minillm.lesson.exercise import Exercise, Wrong

HEADS, KV_HEADS, SIZE = 4, 2, 32
LAYERS = 2
CLOSE = 1e-4
STEPS = ((5,), (5, 1), (4, 3), (1, 1, 1), (3, 2, 1, 4))
"""Tokens that arrive together, call by call: a prefill, then decodes, then chunks of a prefill."""
GREEDY = SamplingParams(temperature=0, max_tokens=12)
PROMPTS = ("Once upon a time", "What is 3 plus 5?")


@dataclass(frozen=True)
class Tokens:
    """q: [n, HEADS, SIZE]; k: [n, KV_HEADS, SIZE] of n tokens of one layer."""

    q: torch.Tensor
    k: torch.Tensor

    @classmethod
    def drawn(cls, number: int, seed: int) -> Tokens:
        source = torch.Generator().manual_seed(seed)
        return cls(
            torch.randn(number, HEADS, SIZE, generator=source),
            torch.randn(number, KV_HEADS, SIZE, generator=source),
        )

    @property
    def units(self) -> torch.Tensor:
        """V of token j: the unit vector j."""
        return torch.eye(len(self.k), SIZE)[:, None].expand(-1, KV_HEADS, -1).clone()

    def right(self, v: torch.Tensor) -> torch.Tensor:
        """What each token's output should be, [n, HEADS, SIZE]."""
        return masked_attention(self.q, self.k, v, torch.ones(len(self.k), len(self.k)).tril() > 0)


def judge(attend: Attend) -> None:
    _alone(attend)
    for steps in STEPS:
        _weights(attend, steps)
    _values(attend)
    _layers(attend)
    _requests(attend)
    _in_the_engine(attend)


def _call(attend: Attend, kept: dict[Any, Any], layer: int, *qkv: torch.Tensor) -> torch.Tensor:
    out = attend(kept, layer, *(tensor.clone() for tensor in qkv))
    if out is None or out is ...:
        raise Wrong("lesson_01.attend_nothing")
    if not isinstance(out, torch.Tensor):
        raise Wrong("lesson_01.attend_type", got=type(out).__name__)
    if out.shape != qkv[0].shape:
        got, wanted = list(out.shape), list(qkv[0].shape)
        raise Wrong("lesson_01.attend_shape", got=got, wanted=wanted, new=len(qkv[0]))
    return out


def _served(
    attend: Attend, steps: Sequence[int], tokens: Tokens, v: torch.Tensor
) -> list[tuple[int, torch.Tensor]]:
    """What each call gave: (tokens cached before it, its output)."""
    kept: dict[Any, Any] = {}
    outputs, past = [], 0
    for new in steps:
        part = slice(past, past + new)
        outputs.append((past, _call(attend, kept, 0, tokens.q[part], tokens.k[part], v[part])))
        past += new
    return outputs


def _alone(attend: Attend) -> None:
    """A first token sees itself and nothing else; and twice the same is the same."""
    tokens = Tokens.drawn(3, seed=1)
    (_, first), (_, again) = (_served(attend, (3,), tokens, tokens.units)[0] for _ in range(2))
    if not torch.allclose(first, again, atol=CLOSE, equal_nan=True):
        raise Wrong("lesson_01.attend_outside")


def _weights(attend: Attend, steps: Sequence[int]) -> None:
    tokens = Tokens.drawn(sum(steps), seed=2)
    right = tokens.right(tokens.units)
    for past, output in _served(attend, steps, tokens, tokens.units):
        new, seen = len(output), past + len(output)
        case = {"new": new, "past": past}
        for i, row in enumerate(output):
            token = past + i
            if row.isnan().any():
                raise Wrong("lesson_01.attend_nan", token=token, **case)
            _row(row, right[token], token, seen, case)


def _row(
    row: torch.Tensor, right: torch.Tensor, token: int, seen: int, case: dict[str, int]
) -> None:
    """The weights that `token` gives, [HEADS, SIZE], against the right ones."""
    if (row.sum(-1) - 1).abs().max() > CLOSE or row.min() < -CLOSE:
        raise Wrong("lesson_01.attend_no_weights", token=token, **case)
    for other in range(token + 1, seen):
        if row[:, other].abs().max() > CLOSE:
            raise Wrong("lesson_01.attend_future", token=token, other=other, **case)
    for other in range(token + 1):
        if row[:, other].abs().max() < CLOSE / 10:
            key = "lesson_01.attend_self" if other == token else "lesson_01.attend_blind"
            raise Wrong(key, token=token, other=other, **case)
    if (row - right).abs().max() < CLOSE:
        return
    # Weights are right but for a factor where one token counts several times.
    ratio = (row / right)[:, : token + 1].mean(0)
    most = int(ratio.argmax())
    if ratio[most] > 1.2 * ratio.min():
        raise Wrong("lesson_01.attend_twice", token=token, other=most, **case)
    raise Wrong("lesson_01.attend_values", token=token, **case)


def _values(attend: Attend) -> None:
    tokens = Tokens.drawn(9, seed=3)
    v = torch.randn(9, KV_HEADS, SIZE, generator=torch.Generator().manual_seed(4))
    right = tokens.right(v)
    for past, output in _served(attend, (4, 1, 3, 1), tokens, v):
        wanted = right[past : past + len(output)]
        if not torch.allclose(output, wanted, atol=CLOSE):
            token = past + int((output - wanted).abs().amax((1, 2)).argmax())
            raise Wrong("lesson_01.attend_values", token=token, new=len(output), past=past)


def _layers(attend: Attend) -> None:
    """Two layers in turn, as in a model."""
    layers = [Tokens.drawn(4, seed=10 + layer) for layer in range(LAYERS)]
    kept: dict[Any, Any] = {}
    for part in (slice(0, 3), slice(3, 4)):
        for layer, tokens in enumerate(layers):
            given = (tokens.q[part], tokens.k[part], tokens.units[part])
            try:
                output = _call(attend, kept, layer, *given)
            except Wrong:
                raise
            except (RuntimeError, IndexError, KeyError) as error:
                raise Wrong("lesson_01.attend_layers", layer=layer) from error
            if not torch.allclose(output, tokens.right(tokens.units)[part], atol=CLOSE):
                raise Wrong("lesson_01.attend_layers", layer=layer)


def _requests(attend: Attend) -> None:
    """Two requests whose tokens come in turns, each with a cache of its own."""
    requests = [Tokens.drawn(4, seed=20 + number) for number in range(2)]
    caches: list[dict[Any, Any]] = [{} for _ in requests]
    for token in range(4):
        part = slice(token, token + 1)
        for number, (tokens, kept) in enumerate(zip(requests, caches, strict=True)):
            output = _call(attend, kept, 0, tokens.q[part], tokens.k[part], tokens.units[part])
            if not torch.allclose(output, tokens.right(tokens.units)[part], atol=CLOSE):
                raise Wrong("lesson_01.attend_requests", number=number)


def _in_the_engine(attend: Attend) -> None:
    """The pocket model with this attention says what it says with the engine's own."""
    raised: list[Exception] = []

    def watched(*given: Any) -> torch.Tensor:
        try:
            return attend(*given)
        except Exception as error:
            raised.append(error)
            raise

    llm = llm_with(watched, max_num_batched_tokens=8, max_num_seqs=4)
    try:
        outputs = llm.generate(list(PROMPTS), GREEDY)
    except RuntimeError:  # the engine has logged what was raised, and gone on
        if raised:
            raise raised[0] from None
        raise
    for prompt, output, wanted in zip(PROMPTS, outputs, _engines_own(), strict=True):
        got = tuple(output.outputs[0].token_ids)
        if got != wanted:
            pairs = zip((*got, None), (*wanted, None), strict=False)
            place = next(i for i, (one, other) in enumerate(pairs) if one != other)
            raise Wrong("lesson_01.attend_engine", prompt=prompt, place=place)


@cache
def _engines_own() -> tuple[tuple[int, ...], ...]:

    outputs = LLM().generate(list(PROMPTS), GREEDY)
    return tuple(tuple(output.outputs[0].token_ids) for output in outputs)


EXERCISE = Exercise("attend", "lesson_01", judge, prepare=_engines_own)
