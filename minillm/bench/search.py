"""Capacity: the largest request rate at which a simulated system still meets its limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minillm.bench.result import METRICS
from minillm.bench.settings import check_rate, told
from minillm.config import ConfigError, closest
from minillm.run_summary import RunSummary
from minillm.simulation import simulate
from minillm.trace.metrics import GOODPUT, PERCENTILES
from minillm.workload.spec import RequestSpec

STATISTICS = tuple(
    f"{statistic}_{metric}"
    for metric in METRICS
    for statistic in ("mean", "median", *(f"p{percent}" for percent in PERCENTILES))
)
"""What a limit of an SLO may be on; `queue` is the scheduling delay, arrival to first admission."""

_FACTOR = 2.0  # between two rates of the bracket
_MOST = 24  # so many doublings or halvings of the rate, and no more

DEFAULT_ATTAINMENT = 0.9
FINEST = 1e-6  # the smallest tolerance: rates closer than this are one rate


@dataclass(frozen=True, kw_only=True)
class Slo:
    """A service level objective: every statistic at or under its limit (ms), e.g.
    `{"p99_itl": 200, "median_queue": 2000}`; and, of all requests, at least the share `attainment`
    (None: 0.9) within all limits of `goodput` (ms), e.g. `{"ttft": 500, "tpot": 50}`. A request
    that was refused or failed is within none. Raises ConfigError for what cannot be measured."""

    limits: Mapping[str, float] = field(default_factory=dict)
    goodput: Mapping[str, float] = field(default_factory=dict)
    attainment: float | None = None

    def __post_init__(self) -> None:
        for given, known in ((self.limits, STATISTICS), (self.goodput, GOODPUT)):
            for name, limit in given.items():
                if name not in known:
                    raise ConfigError(
                        f"unknown limit {name!r}.{closest(name, known)} Known: {', '.join(known)}."
                    )
                if not limit >= 0:
                    raise ConfigError(f"the limit for {name} must be ≥ 0 ms, got {limit}.")
        if not (self.limits or self.goodput):
            raise ConfigError("an SLO needs limits, e.g. p99_itl:200, or goodput, e.g. ttft:500.")
        if self.attainment is not None and not self.goodput:
            raise ConfigError(
                "attainment is the share of requests within the goodput limits: give some, e.g. "
                "ttft:500, or leave it out."
            )
        if not 0 < self.share <= 1:
            raise ConfigError(f"attainment must be in (0, 1], got {self.attainment}.")

    @property
    def share(self) -> float:
        """Of requests that must be within `goodput`."""
        return DEFAULT_ATTAINMENT if self.attainment is None else self.attainment

    def measure(self, run: RunSummary) -> dict[str, float]:
        """What this SLO is about, of `run`: ms by the names of `limits`, and the `attainment`."""
        metrics = run.metrics(self.goodput)
        found = {name: metrics[f"{name}_ms"] for name in self.limits}
        if self.goodput:
            good = metrics["request_goodput"] * metrics["duration"]
            asked = sum(record.parent is None for record in run.requests)
            found["attainment"] = round(good) / max(1, asked)
        return found

    def met_by(self, found: Mapping[str, float]) -> bool:
        """Whether what `measure` found is within the limits; NaN never is."""
        inside = all(found[name] <= limit for name, limit in self.limits.items())
        return inside and found.get("attainment", 1.0) >= self.share

    def __str__(self) -> str:
        parts = [told(self.limits)] if self.limits else []
        if self.goodput:
            parts.append(f"{told(self.goodput)} for {self.share:.0%} of requests")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Probe:
    """One rate tried (requests per second): what was found, and whether it met the SLO."""

    rate: float
    met: bool
    found: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Capacity:
    """`rate`: the largest found to meet the SLO, requests per second; 0 when none did, infinite
    when none was too large. `probes` in the order tried."""

    rate: float
    probes: tuple[Probe, ...]


def capacity(
    workload: Callable[[float], Iterable[RequestSpec]],
    slo: Slo,
    *,
    start: float = 1.0,
    tolerance: float = 0.05,
    on_probe: Callable[[Probe], None] = lambda probe: None,
    **system: Any,
) -> Capacity:
    """The largest request rate that meets `slo`, in simulated time.

    `workload(rate)` gives the requests at a rate, e.g. `WorkloadSettings(...).requests`: let them
    be the same at every rate, and only arrive faster. `system` is what `simulate` takes. From
    `start` the rate is doubled, or halved, until one meets the SLO and the next does not; then the
    bracket is halved (in ratio) until it is narrower than `tolerance`. The same arguments give the
    same probes.

    A workload is finite: what builds up in an overload grows with the number of requests, so give
    enough of them for the limits to notice, and for a 99th percentile to mean something.
    """
    check_rate(start)
    if not (tolerance >= FINEST and math.isfinite(start)):
        raise ConfigError(
            f"start must be finite and tolerance at least {FINEST}, got {start}, {tolerance}."
        )
    probes: list[Probe] = []

    def meets(rate: float) -> bool:
        found = slo.measure(simulate(workload(rate), record=False, **system))
        probes.append(Probe(rate, slo.met_by(found), found))
        on_probe(probes[-1])
        return probes[-1].met

    return Capacity(_search(meets, start, tolerance), tuple(probes))


def _search(meets: Callable[[float], bool], start: float, tolerance: float) -> float:
    low = high = start
    if meets(start):
        for _ in range(_MOST):
            low, high = high, high * _FACTOR
            if not meets(high):
                break
        else:
            return math.inf
    else:
        for _ in range(_MOST):
            low, high = low / _FACTOR, low
            if meets(low):
                break
        else:
            return 0.0
    while high / low > 1 + tolerance:
        middle = math.sqrt(low * high)
        if meets(middle):
            low = middle
        else:
            high = middle
    return low
