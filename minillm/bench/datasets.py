"""The requests of a benchmark: a data set by name, drawn or read, and when its requests arrive."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from minillm.bench.settings import Help, check_rate
from minillm.config import ConfigError, closest
from minillm.workload.arrivals import gamma
from minillm.workload.lengths import DATASETS, Lengths, Uniform
from minillm.workload.readers import READERS, TraceFileError, read_sharegpt
from minillm.workload.spec import RequestSpec
from minillm.workload.synthetic import synthetic

CountTokens = Callable[[str], int]

DRAWN = ("random", *DATASETS)
TEXTS = ("sharegpt", "custom")
READ = (*READERS, *TEXTS)
DEFAULT_NUM_PROMPTS = 1000


@dataclass(frozen=True, kw_only=True)
class WorkloadSettings:
    """Which requests, how many, and how they arrive."""

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
    random_input_len: Annotated[int, Help("random: prompt tokens.", min=1)] = 1024
    random_output_len: Annotated[int, Help("random: output tokens.", min=1)] = 128
    random_range_ratio: Annotated[
        float, Help("random: lengths are uniform within this share of the two above; under 1.")
    ] = 0.0
    random_prefix_len: Annotated[
        int, Help("random: tokens before each prompt, the same in all.", min=0)
    ] = 0
    custom_output_len: Annotated[
        int, Help("custom: output tokens at most, where a line has no output_tokens.", min=1)
    ] = 256
    max_total_len: Annotated[
        int | None, Help("Shorten prompts so that prompt and output together are no longer.", min=2)
    ] = None
    seed: Annotated[int, Help("The same seed gives the same requests and draws.", min=0)] = 0

    def requests(
        self, request_rate: float | None = None, count_tokens: CountTokens | None = None
    ) -> list[RequestSpec]:
        """The requests, in order of arrival.

        `request_rate` (requests per second, gamma-distributed gaps) replaces a trace's own times;
        None is `own_rate`. Whatever the rate, the same
        seed gives the same requests and the same gaps to scale. `count_tokens`, of a real model,
        allows data sets of text.
        Raises ConfigError, TraceFileError.
        """
        if request_rate is not None:
            check_rate(request_rate)
        if self.burstiness is not None and not 1e-3 <= self.burstiness <= 1e6:
            raise ConfigError(
                f"burstiness must be between 0.001 and 1,000,000, got {self.burstiness:g}: 1 is "
                "Poisson, less comes in bursts, more is steadier."
            )
        if self.max_total_len is not None and self.dataset_name in TEXTS:
            raise ConfigError(
                f"max_total_len is for requests given by length; {self.dataset_name} has texts."
            )
        if self.dataset_path is None:
            return self._drawn(request_rate)
        found = self._read(self.dataset_path, count_tokens)[: self.num_prompts]
        found = [self._shortened(spec) for spec in found]
        return found if request_rate is None else self._timed(found, request_rate)

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
        if name != "random" or not prefix:
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
        ratio = self.random_range_ratio
        if not 0 <= ratio < 1:
            raise ConfigError(f"random_range_ratio must be in [0, 1), got {ratio}.")
        low, high = 1 - ratio, 1 + ratio
        (a, b), (c, d) = (
            (max(1, math.floor(length * low)), math.ceil(length * high))
            for length in (self.random_input_len, self.random_output_len)
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
            return list(self._custom(path))
        except OSError as error:
            raise _unreadable(path, error) from None

    def _custom(self, path: Path) -> Iterator[RequestSpec]:
        """JSON lines of prompt and, where known, output_tokens; the model may end earlier."""
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                    yield RequestSpec(
                        prompt=[{"role": "user", "content": row["prompt"]}],
                        max_tokens=row.get("output_tokens", self.custom_output_len),
                    )
                except KeyError as error:
                    raise TraceFileError(
                        f"{path} line {number}: there is no field {error}"
                    ) from None
                except (ValueError, TypeError, AttributeError) as error:
                    raise TraceFileError(f"{path} line {number}: {error}") from None

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
