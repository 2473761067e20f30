"""How long prompts and answers are: the data sets of the papers, as distributions.

The shape is lognormal throughout; its two numbers follow from what is published of each data set.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Protocol

from minillm.config import ConfigError, closest

_Z90 = 1.2815515655446004  # the 90th percentile of the standard normal distribution


class Lengths(Protocol):
    """Anything that draws pairs of lengths."""

    def sample(self, rng: random.Random) -> tuple[int, int]:
        """(prompt tokens, output tokens), each at least 1."""
        ...


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Whole lengths whose logarithm is normal with mean `mu` and standard deviation `sigma`."""

    mu: float
    sigma: float

    @classmethod
    def of_median_and_p90(cls, median: float, p90: float) -> Lognormal:
        return cls(math.log(median), math.log(p90 / median) / _Z90)

    @classmethod
    def of_mean(cls, mean: float, sigma: float) -> Lognormal:
        return cls(math.log(mean) - sigma**2 / 2, sigma)

    def sample(self, rng: random.Random) -> int:
        return max(1, round(rng.lognormvariate(self.mu, self.sigma)))


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same for every request."""

    prompt_len: int
    output_len: int

    def sample(self, rng: random.Random) -> tuple[int, int]:
        return self.prompt_len, self.output_len


@dataclass(frozen=True, slots=True)
class Uniform:
    """Both lengths uniform between (and including) their bounds."""

    prompt_len: tuple[int, int]
    output_len: tuple[int, int]

    def sample(self, rng: random.Random) -> tuple[int, int]:
        return rng.randint(*self.prompt_len), rng.randint(*self.output_len)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A published data set. A pair above `max_prompt_len` or `max_total_len` is drawn anew, as
    the papers leave such requests out. `rate` (requests per second) and `cv` (coefficient of
    variation of the gaps) say how the trace arrives, where it is one."""

    prompt: Lognormal
    output: Lognormal
    max_prompt_len: int | None = None
    max_total_len: int | None = None
    rate: float | None = None
    cv: float = 1.0

    def sample(self, rng: random.Random) -> tuple[int, int]:
        while True:
            prompt, output = self.prompt.sample(rng), self.output.sample(rng)
            if self.max_prompt_len is not None and prompt > self.max_prompt_len:
                continue
            if self.max_total_len is not None and prompt + output > self.max_total_len:
                continue
            return prompt, output


_fit = Lognormal.of_median_and_p90

DATASETS: dict[str, Dataset] = {
    # vLLM, SOSP'23: means 161 and 338 after leaving out prompts above 1024 and totals above 2048.
    # The logarithm of the means here is what gives them after leaving out; the spreads are
    # assumed (1.3, 1.1).
    "sharegpt": Dataset(
        prompt=Lognormal(4.57, 1.3),
        output=Lognormal(5.43, 1.1),
        max_prompt_len=1024,
        max_total_len=2048,
    ),
    # Means 19.3 and 58.5; the spreads are assumed.
    "alpaca": Dataset(prompt=Lognormal.of_mean(19.3, 0.6), output=Lognormal.of_mean(58.5, 1.0)),
    # Sarathi-Serve, OSDI'24, Table 2: medians and 90th percentiles.
    "openchat_sharegpt4": Dataset(prompt=_fit(1730, 5696), output=_fit(415, 834)),
    "arxiv_summarization": Dataset(prompt=_fit(7059, 12_985), output=_fit(208, 371)),
    # Azure LLM inference traces 2023: median and 90th percentile. The means come out 19 % and
    # 17 % too high for prompts, 6 % and 12 % too low for outputs: the tails are not lognormal.
    "azure_conv": Dataset(prompt=_fit(1020, 2735), output=_fit(129, 424), rate=5.53, cv=1.09),
    "azure_code": Dataset(prompt=_fit(1469, 5194), output=_fit(13, 55), rate=2.57, cv=13.0),
}


def get_lengths(lengths: str | tuple[int, int] | Lengths) -> Lengths:
    """A data set by name, `(prompt_len, output_len)` for all alike, or the distribution given.
    An unknown name is a ConfigError."""
    if isinstance(lengths, tuple):
        return Fixed(*lengths)
    if not isinstance(lengths, str):
        return lengths
    if lengths not in DATASETS:
        raise ConfigError(
            f"unknown lengths {lengths!r}.{closest(lengths, DATASETS)} "
            f"Known: {', '.join(DATASETS)}, or a pair (prompt_len, output_len)."
        )
    return DATASETS[lengths]
