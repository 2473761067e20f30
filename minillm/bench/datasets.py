"""The requests of a benchmark: a data set by name, drawn or read, and when its requests arrive."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from minillm.bench.settings import Help, Seed, check_rate
from minillm.config import ConfigError, closest
from minillm.workload.arrivals import gamma
from minillm.workload.lengths import DATASETS, Lengths, Uniform
from minillm.workload.readers import READERS, read_custom, read_sharegpt
from minillm.workload.spec import RequestSpec
from minillm.workload.synthetic import synthetic

CountTokens = Callable[[str], int]

DRAWN = ("random", *DATASETS)
TEXTS = ("sharegpt", "custom")
READ = (*READERS, *TEXTS)
DEFAULT_NUM_PROMPTS = 1000
RANDOM_INPUT_LEN, RANDOM_OUTPUT_LEN, CUSTOM_OUTPUT_LEN = 1024, 128, 256

_OF_RANDOM = ("random_input_len", "random_output_len", "random_range_ratio", "random_prefix_len")


@dataclass(frozen=True, kw_only=True)
class WorkloadSettings:
    """Which requests, how many, and how they arrive. Raises ConfigError for a setting that the
    data set has no use for."""

    dataset_name: Annotated[
        str, Help(f"Lengths to draw: {', '.join(DRAWN)}; with --dataset-path: {', '.join(READ)}.")
    ] = "random"
    dataset_path: Annotated[Path | None, Help("A published trace, or texts, to read.")] = None
    num_prompts: Annotated[
        int | None,
        Help(f"How many; by default all of a file's, else {DEFAULT_NUM_PROMPTS}.", min=1),
    ] = None
    burstiness: Annotated[
        float | None, Help("1 is Poisson, less comes in bursts, more is steadier.")
    ] = None
    random_input_len: Annotated[
        int | None, Help(f"random: prompt tokens; by default {RANDOM_INPUT_LEN}.", min=1)
    ] = None
    random_output_len: Annotated[
        int | None, Help(f"random: output tokens; by default {RANDOM_OUTPUT_LEN}.", min=1)
    ] = None
    random_range_ratio: Annotated[
        float | None,
        Help("random: lengths are uniform within this share of the two above; under 1."),
    ] = None
    random_prefix_len: Annotated[
        int | None, Help("random: tokens before each prompt, the same in all.", min=0)
    ] = None
    custom_output_len: Annotated[
        int | None,
        Help(
            "custom: output tokens at most, where a line has no output_tokens; by default "
            f"{CUSTOM_OUTPUT_LEN}.",
            min=1,
        ),
    ] = None
    max_total_len: Annotated[
        int | None, Help("Shorten prompts so that prompt and output together are no longer.", min=2)
    ] = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        self._only_for("random", *_OF_RANDOM)
        self._only_for("custom", "custom_output_len")
        if self.max_total_len is not None and self.dataset_name in TEXTS:
            raise ConfigError(
                f"max_total_len is for requests given by length; {self.dataset_name} has texts."
            )

    def _only_for(self, dataset: str, *settings: str) -> None:
        given = [name for name in settings if getattr(self, name) is not None]
        if given and self.dataset_name != dataset and self.dataset_name in (*DRAWN, *READ):
            raise ConfigError(
                f"{given[0]} is for dataset_name {dataset!r}; {self.dataset_name!r} has lengths of "
                "its own. Leave it out."
            )

    def requests(
        self, request_rate: float | None = None, count_tokens: CountTokens | None = None
    ) -> list[RequestSpec]:
        """The requests, in order of arrival.

        `request_rate` (requests per second, gamma-distributed gaps) replaces a trace's own times;
        None is `own_rate`. Whatever the rate, the same seed gives the same requests and the same
        gaps to scale. `count_tokens`, of a real model, allows data sets of text.
        Raises ConfigError, TraceFileError.
        """
        if request_rate is not None:
            check_rate(request_rate)
        if self.burstiness is not None and not 1e-3 <= self.burstiness <= 1e6:
            raise ConfigError(
                f"burstiness must be between 0.001 and 1,000,000, got {self.burstiness:g}: 1 is "
                "Poisson, less comes in bursts, more is steadier."
            )
        if self.dataset_path is None:
            requests = self._drawn(request_rate)
        else:
            found = self._read(self.dataset_path, count_tokens)
            if self.num_prompts is not None and self.num_prompts > len(found):
                raise ConfigError(
                    f"num_prompts {self.num_prompts:,} is more than the {len(found):,} requests of "
                    f"{self.dataset_path}. Leave it out to serve them all."
                )
            requests = [self._shortened(spec) for spec in found[: self.num_prompts]]
            if request_rate is not None:
                requests = self._timed(requests, request_rate)
        self._check_gaps(request_rate)
        return requests

    def _check_gaps(self, request_rate: float | None) -> None:
        rate = self.own_rate if request_rate is None else request_rate
        if self.burstiness is not None and rate is None:
            raise ConfigError(
                "burstiness shapes the gaps of a request rate, and the file has times of its own. "
                "Give a request_rate in their place, or leave burstiness out."
            )
        if self.burstiness is not None and rate == math.inf:
            raise ConfigError(
                "burstiness shapes the gaps of a request rate, and at an infinite one all arrive "
                "at once. Give a finite request_rate, or leave burstiness out."
            )

    @property
    def own_rate(self) -> float | None:
        """The rate where none is asked for: the published one of lengths drawn, else infinite.
        None: the times of the file."""
        if self.dataset_path is None:
            own = DATASETS.get(self.dataset_name)
            return (own and own.rate) or math.inf
        return math.inf if self.dataset_name in TEXTS else None

    @property
    def gap_burstiness(self) -> float:
        """As asked for, else that of the published data set, else 1."""
        own = DATASETS.get(self.dataset_name) if self.dataset_path is None else None
        return self.burstiness or (own.cv**-2 if own else 1.0)

    def identity(self) -> dict[str, Any]:
        """Everything the requests depend on; of a file its content, not its name."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if self.dataset_path is not None:
            try:
                content = self.dataset_path.read_bytes()
            except OSError as error:
                raise _unreadable(self.dataset_path, error) from None
            fields["dataset_path"] = f"sha256 {hashlib.sha256(content).hexdigest()}"
        return fields

    def _drawn(self, rate: float | None) -> list[RequestSpec]:
        name = self.dataset_name
        if name not in DRAWN:
            needs = f"{name} is read from a file: give dataset_path." if name in READ else ""
            raise ConfigError(
                needs
                or f"unknown dataset_name {name!r}.{closest(name, (*DRAWN, *READ))} To be drawn: "
                f"{', '.join(DRAWN)}; to be read from dataset_path: {', '.join(READ)}."
            )
        lengths: str | Lengths = self._uniform() if name == "random" else name
        drawn = synthetic(
            self.num_prompts or DEFAULT_NUM_PROMPTS,
            lengths,
            rate=1.0,
            burstiness=self.gap_burstiness,
            max_total_len=self.max_total_len,
            seed=self.seed,
        )
        rate = rate or self.own_rate or math.inf
        drawn = [replace(spec, arrival_time=spec.arrival_time / rate) for spec in drawn]
        prefix = self.random_prefix_len
        if not prefix:
            return drawn
        return [
            self._shortened(
                replace(
                    s,
                    prompt_len=prefix + (s.prompt_len or 0),
                    prefix_id="random",
                    prefix_len=prefix,
                )
            )
            for s in drawn
        ]

    def _uniform(self) -> Uniform:
        ratio = self.random_range_ratio or 0.0
        if not 0 <= ratio < 1:
            raise ConfigError(f"random_range_ratio must be in [0, 1), got {ratio}.")
        low, high = 1 - ratio, 1 + ratio
        (a, b), (c, d) = (
            (max(1, math.floor(length * low)), math.ceil(length * high))
            for length in (
                self.random_input_len or RANDOM_INPUT_LEN,
                self.random_output_len or RANDOM_OUTPUT_LEN,
            )
        )
        return Uniform((a, b), (c, d))

    def _read(self, path: Path, count_tokens: CountTokens | None) -> list[RequestSpec]:
        name = self.dataset_name
        if name not in READ:
            raise ConfigError(
                f"{name!r} is no format of a file.{closest(name, READ)} Known: {', '.join(READ)}."
            )
        if name in TEXTS and count_tokens is None:
            raise ConfigError(
                f"{name} is text, which only a real model with a tokenizer can read (minillm bench "
                "serve); simulated time serves lengths."
            )
        try:
            if name in READERS:
                return READERS[name](path)
            if name == "sharegpt" and count_tokens is not None:
                return read_sharegpt(path, count_tokens, skip_empty=True)
            return read_custom(path, self.custom_output_len or CUSTOM_OUTPUT_LEN)
        except OSError as error:
            raise _unreadable(path, error) from None

    def _shortened(self, spec: RequestSpec) -> RequestSpec:
        limit, prompt, output = self.max_total_len, spec.prompt_len or 0, spec.output_len or 0
        if limit is None or prompt + output <= limit:
            return spec
        prompt = max(1, min(prompt, limit - output))
        return replace(spec, prompt_len=prompt, output_len=min(output, limit - prompt))

    def _timed(self, specs: list[RequestSpec], rate: float) -> list[RequestSpec]:
        times = gamma(len(specs), 1.0, self.gap_burstiness, random.Random(self.seed))
        return [
            replace(spec, arrival_time=time / rate) for spec, time in zip(specs, times, strict=True)
        ]


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot read {path}: {error.strerror or error}")
