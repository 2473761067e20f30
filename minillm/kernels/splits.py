"""How many programs share one sequence's keys: the split of split-KV attention.

A decode has one query tile per sequence and KV head. A small batch with long contexts would leave
most of a GPU's multiprocessors idle, so the keys are cut as well, and the parts are merged
afterwards (Flash-Decoding, Dao et al. 2023).
"""

from __future__ import annotations

import numpy as np

PROGRAMS_PER_SM = 2  # enough work in flight to hide memory latency
MIN_SPLIT = 256  # tokens: less is not worth a merge
MAX_SPLITS = 128


def split_keys(
    tokens: np.ndarray, num_kv_heads: int, num_sms: int, *, num_splits: int | None = None
) -> tuple[int, int]:
    """(splits, tokens per split) of a launch whose query tiles see `tokens` keys each.

    The length is the batch's whole work shared fairly among the programs that the device holds,
    so that one long sequence is cut although many short ones keep it company. `num_splits` asks
    for a number instead.
    """
    longest = max(int(tokens.max(initial=1)), 1)
    if num_splits is None:
        fair = -(-int(tokens.sum()) * num_kv_heads // (num_sms * PROGRAMS_PER_SM))
        num_splits = min(longest // max(fair, MIN_SPLIT), MAX_SPLITS)
    num_splits = max(1, num_splits)
    return num_splits, -(-longest // num_splits)
