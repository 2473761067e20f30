"""What a run of drawn requests will take, and who will not fit: served in simulated time first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from backstage.choice import Choice
from backstage.rerun import DEVICE
from minillm.config import ConfigError
from minillm.costs import get_model
from minillm.live import FULL_SPEED


@dataclass(frozen=True)
class Estimate:
    """`seconds` of a visitor's time at the chosen pace, about; `refused` says why, for each request
    that the engine will not take."""

    steps: int
    seconds: float
    refused: tuple[str, ...]


@lru_cache(maxsize=64)
def estimate(choice: Choice) -> Estimate:
    """For `choice.requests`. Raises ConfigError for settings that no engine can have."""
    from minillm.simulation import simulate

    try:
        model = get_model(choice.model.strip())
    except ConfigError:  # not known before it is loaded
        model = get_model("pocket")
    run = simulate(
        choice.requests or (),
        model=model,
        hardware=DEVICE,
        scheduler=choice.scheduler,
        record=False,
        **choice.engine_settings(),
    )
    paced = run.num_steps / choice.pace if choice.pace != FULL_SPEED else 0.0
    refused = tuple(request.rejected for request in run.requests if request.rejected is not None)
    return Estimate(run.num_steps, max(paced, run.duration), refused)
