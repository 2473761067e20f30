"""How long will a batch take? Learned from the steps so far, where no cost model says."""

from __future__ import annotations

from collections.abc import Sequence


class LearnedEstimate:
    """seconds ≈ fixed + slope · tokens, the least-squares line through all steps seen.

    An `Estimate`; 0 before the first step, the mean while all steps were of one size.
    """

    def __init__(self) -> None:
        self._n = 0
        self._x = self._y = self._xx = self._xy = 0.0

    def learn(self, num_tokens: int, seconds: float) -> None:
        """One more step: `num_tokens` computed in `seconds`."""
        self._n += 1
        self._x += num_tokens
        self._y += seconds
        self._xx += num_tokens * num_tokens
        self._xy += num_tokens * seconds

    def __call__(self, batch: Sequence[tuple[int, int]]) -> float:
        if self._n == 0:
            return 0.0
        spread = self._n * self._xx - self._x * self._x
        slope = (self._n * self._xy - self._x * self._y) / spread if spread else 0.0
        slope = max(0.0, slope)
        fixed = max(0.0, (self._y - slope * self._x) / self._n)
        return fixed + slope * sum(new for new, _ in batch)
