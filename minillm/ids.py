"""Request ids: each means one request, or one answer to it, for a whole trace."""

from __future__ import annotations


class RequestIds:
    """Hands out ids. A request without an id of its own gets its number; the answers to it beyond
    the first have its id followed by .1, .2 and so on."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._count = 0

    def take(self, wanted: str | None = None, n: int = 1) -> tuple[str, int]:
        """The id of a new request with `n` answers, and its number in order of addition. Raises
        ValueError for an id that is none, or that was used before."""
        if wanted is None:
            while not self._used.isdisjoint(fork_id(str(self._count), i) for i in range(n)):
                self._count += 1
            wanted = str(self._count)
        if not isinstance(wanted, str) or wanted.startswith("*") or wanted in self._used:
            raise ValueError(
                f"request id {wanted!r}: an id is a string that was not used before and does not "
                "begin with '*'."
            )
        forks = {fork_id(wanted, fork) for fork in range(1, n)}
        taken = forks & self._used
        if taken:
            raise ValueError(
                f"request id {wanted!r} with n={n}: {min(taken)!r}, the id of a fork, was used "
                "before. Choose another id."
            )
        self._used |= {wanted, *forks}
        self._count += 1
        return wanted, self._count - 1


def fork_id(request_id: str, fork: int) -> str:
    """The id of an answer to a request; its first has the request's own."""
    return f"{request_id}.{fork}" if fork else request_id


def parent_id(sequence_id: str, fork: int) -> str:
    """The id of the request that a sequence answers."""
    return sequence_id.rpartition(".")[0] if fork else sequence_id
