"""From logits to tokens: penalties, temperature, top-k, top-p, min-p, draw, log-probabilities.

The order is vLLM's: forbid ends before min_tokens, penalties, (log-probabilities are taken here),
temperature, min-p, top-k, top-p, draw. Rows are handled together; a batch that is greedy and plain
costs one argmax.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

from minillm.execution.batch import Sampled
from minillm.execution.randomness import uniform
from minillm.execution.transfer import to_device
from minillm.request import Logprob, Request, SamplingParams

TOP_P_HEAD = 1024  # tokens that usually hold top_p; sorting the whole vocabulary is slow


def is_plain(params: SamplingParams) -> bool:
    """Greedy, and nothing but the logits decides."""
    return params.temperature == 0 and params.logprobs is None and not _edits(params)


def _edits(params: SamplingParams) -> bool:
    return params.has_penalties or params.min_tokens > 0


class Draw:
    """One token per row, still on the device where it was sampled.

    A copy to the host is under way from the start, so that waiting for it does not mean waiting
    for what was launched since.
    """

    def __init__(
        self,
        tokens: torch.Tensor,
        with_logprobs: Sequence[int] = (),
        logprobs: _Logprobs | None = None,
    ) -> None:
        self.tokens = tokens  # [rows] int64
        self._with_logprobs = with_logprobs
        self._logprobs = logprobs
        self._host, self._copied = tokens, None
        if tokens.is_cuda:
            self._host = torch.empty_like(tokens, device="cpu", pin_memory=True)
            self._host.copy_(tokens, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def read(self) -> list[Sampled]:
        """Wait for the tokens."""
        if self._copied is not None:
            self._copied.synchronize()
        sampled = [Sampled(token) for token in self._host.tolist()]
        if self._logprobs is not None:
            for i, logprobs in zip(self._with_logprobs, self._logprobs.read(), strict=True):
                sampled[i].logprobs = logprobs
        return sampled


class Sampler:
    """Stateless but for the engine's seed and the model's end-of-sequence tokens."""

    def __init__(self, seed: int, eos_token_ids: Collection[int]) -> None:
        self.seed = seed
        self.eos_token_ids = sorted(eos_token_ids)

    def sample(self, logits: torch.Tensor, requests: Sequence[Request]) -> Draw:
        """The next token of each request; logits: [len(requests), vocab], any float dtype.
        Plain sampling never waits for the device; `top_p`, `min_tokens` and penalties do."""
        if all(is_plain(r.sampling) for r in requests):
            return Draw(logits.argmax(-1))
        logits = logits.float()
        edited = [i for i, r in enumerate(requests) if _edits(r.sampling)]
        if edited:
            logits = logits.clone()
            for i in edited:
                self._edit(logits[i], requests[i])
        tokens = logits.argmax(-1)
        random = [i for i, r in enumerate(requests) if r.sampling.temperature > 0]
        if random:
            chosen = [requests[i] for i in random]
            rows = to_device(random, logits.device)
            tokens[rows] = self._draw(logits[rows], chosen)
        wanted = [i for i, r in enumerate(requests) if r.sampling.logprobs is not None]
        if not wanted:
            return Draw(tokens)
        counts = [requests[i].sampling.logprobs or 0 for i in wanted]
        rows = to_device(wanted, logits.device)
        return Draw(tokens, wanted, _Logprobs(logits[rows], tokens[rows], counts))

    def _edit(self, logits: torch.Tensor, request: Request) -> None:
        """Minimum length and penalties on one row [vocab], in place."""
        params, vocab = request.sampling, logits.shape[-1]
        if request.num_output_tokens < params.min_tokens:
            ends = [t for t in (*self.eos_token_ids, *params.stop_token_ids) if 0 <= t < vocab]
            logits[ends] = -torch.inf
        output = np.array(request.output_token_ids, np.int64)
        if params.repetition_penalty != 1:
            seen = np.unique(np.append(output, np.array(request.prompt_token_ids, np.int64)))
            index = torch.from_numpy(seen).to(logits.device)
            score, penalty = logits[index], params.repetition_penalty
            logits[index] = torch.where(score > 0, score / penalty, score * penalty)
        if len(output) and (params.presence_penalty or params.frequency_penalty):
            seen, counts = np.unique(output, return_counts=True)
            penalty = params.presence_penalty + params.frequency_penalty * counts
            index = torch.from_numpy(seen).to(logits.device)
            logits[index] -= torch.from_numpy(penalty).to(logits)

    def _draw(self, logits: torch.Tensor, requests: Sequence[Request]) -> torch.Tensor:
        """One token per row by inverting the cumulative distribution in vocabulary order."""
        params = [r.sampling for r in requests]
        draws = [
            uniform(self.seed, p.seed, r.number, r.num_output_tokens, r.fork)
            for r, p in zip(requests, params, strict=True)
        ]
        column = _Column(logits.device)
        logits = logits.to(column.dtype) / column([p.temperature for p in params])
        probs = torch.softmax(logits, dim=-1)
        if any(p.min_p > 0 for p in params):
            floor = probs.amax(-1, keepdim=True) * column([p.min_p for p in params])
            probs = torch.where(probs >= floor, probs, 0.0)
        if any(0 < p.top_k < logits.shape[-1] for p in params):
            probs = _top_k(probs, [p.top_k or logits.shape[-1] for p in params])
        if any(p.top_p < 1 for p in params):
            probs = _top_p(probs, column([p.top_p for p in params]))
        cumulative = probs.cumsum(-1)
        total = cumulative[:, -1:]
        target = torch.minimum(
            column(draws) * total, torch.nextafter(total, torch.zeros_like(total))
        )
        chosen = torch.searchsorted(cumulative, target, right=True).squeeze(-1)
        return chosen.clamp(max=logits.shape[-1] - 1)  # NaN logits: any token, but a token


class _Column:
    """Numbers, one per row, as a [rows, 1] tensor. On CUDA in fp32: there a pass over the
    vocabulary is a noticeable part of a step, and twice as long in fp64."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.dtype = torch.float32 if device.type == "cuda" else torch.float64

    def __call__(self, values: list[float]) -> torch.Tensor:
        return to_device([float(value) for value in values], self.device).to(self.dtype)[:, None]


def _top_k(probs: torch.Tensor, ks: list[int]) -> torch.Tensor:
    """Zero all but each row's k largest; those equal to the k-th stay."""
    vocab = probs.shape[-1]
    ks = [min(k, vocab) for k in ks]
    largest = max((k for k in ks if k < vocab), default=vocab)
    top = probs.topk(largest, dim=-1).values
    index = to_device([min(k, largest) - 1 for k in ks], probs.device)[:, None]
    floor = top.gather(-1, index)
    unlimited = to_device([k == vocab for k in ks], probs.device)[:, None]
    return torch.where((probs >= floor) | unlimited, probs, 0.0)


def _top_p(probs: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Keep the fewest most likely tokens whose probabilities (renormalised) reach top_p, and
    those equal to the last of them."""
    target = top_p * probs.sum(-1, keepdim=True)
    ordered = probs.topk(min(TOP_P_HEAD, probs.shape[-1]), dim=-1).values
    cumulative = ordered.cumsum(-1)
    if ((cumulative[:, -1:] < target) & (top_p < 1)).any():
        ordered = probs.sort(dim=-1, descending=True).values
        cumulative = ordered.cumsum(-1)
    kept = cumulative - ordered < target
    kept[:, 0] = True
    floor = torch.where(kept, ordered, torch.inf).amin(-1, keepdim=True)
    return torch.where((probs >= floor) | (top_p >= 1), probs, 0.0)


class _Logprobs:
    """The sampled token first, then each row's most likely ones."""

    def __init__(self, logits: torch.Tensor, tokens: torch.Tensor, counts: list[int]) -> None:
        """logits: [rows, vocab], tokens: [rows]; counts: how many alternatives each row wants."""
        table = torch.log_softmax(logits, dim=-1)
        own = table.gather(-1, tokens[:, None])
        self._counts = counts
        self._own = (tokens, own.squeeze(-1), (table > own).sum(-1) + 1)
        self._top = table.topk(min(max(*counts, 1), table.shape[-1]), dim=-1)

    def read(self) -> list[dict[int, Logprob]]:
        top, ids = self._top
        own = [each.tolist() for each in self._own]
        rows = zip(*own, top.tolist(), ids.tolist(), self._counts, strict=True)
        return [
            {token: Logprob(value, rank)}
            | {
                other: Logprob(p, place)
                for place, (other, p) in enumerate(zip(others, ps, strict=True), start=1)
                if place <= count and other != token
            }
            for token, value, rank, ps, others, count in rows
        ]
