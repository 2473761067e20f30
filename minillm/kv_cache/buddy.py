"""Buddy allocation: runs of consecutive blocks whose lengths are powers of two."""

from __future__ import annotations

from bisect import insort


def power_of_two(count: int) -> int:
    """The smallest power of two that is at least `count`."""
    return 1 << (count - 1).bit_length()


def largest_run(num_blocks: int) -> int:
    """The longest run that a pool of `num_blocks` can ever give."""
    return 1 << (num_blocks.bit_length() - 1)


class BuddyAllocator:
    """Splits a pool in halves until a run is just long enough, and joins the halves ("buddies")
    again when both are free. A pool that is no power of two begins as its binary decomposition:
    983 blocks are runs of 512, 256, 128, 64, 16, 4, 2 and 1.

    The rest of a run that was rounded up cannot be used by anybody, and neither can free runs that
    are too short: external fragmentation.
    """

    def __init__(self, num_blocks: int) -> None:
        self._free: dict[int, list[int]] = {}  # length → where such runs start, ascending
        self._taken: dict[int, int] = {}  # start → length
        self.num_free = num_blocks
        start = 0
        for bit in reversed(range(num_blocks.bit_length())):
            length = 1 << bit
            if num_blocks & length:
                self._free[length] = [start]
                start += length

    @property
    def largest_free(self) -> int:
        """The longest free run; 0 when nothing is free."""
        return max((length for length, starts in self._free.items() if starts), default=0)

    def take(self, count: int) -> int | None:
        """Where a run of at least `count` blocks starts; None when no free run is long enough."""
        wanted = power_of_two(count)
        fitting = [n for n, starts in self._free.items() if starts and n >= wanted]
        if not fitting:
            return None
        length = min(fitting)
        start = self._free[length].pop(0)
        while length > wanted:
            length //= 2
            insort(self._free.setdefault(length, []), start + length)
        self._taken[start] = length
        self.num_free -= length
        return start

    def release(self, start: int) -> None:
        """Give the run at `start` back."""
        length = self._taken.pop(start)
        self.num_free += length
        while (buddy := start ^ length) in self._free.get(length, ()):
            self._free[length].remove(buddy)
            start = min(start, buddy)
            length *= 2
        insort(self._free.setdefault(length, []), start)

    def check(self) -> None:
        """Raise AssertionError unless free and taken runs are all there is, without overlap."""
        runs = [(start, length) for length, starts in self._free.items() for start in starts]
        assert sum(length for _, length in runs) == self.num_free
        end = 0
        for start, length in sorted([*runs, *self._taken.items()]):
            assert start == end, f"blocks {end} to {start} are neither free nor taken, or both"
            end = start + length
