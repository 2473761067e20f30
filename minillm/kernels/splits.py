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


def choose_num_splits(tokens: np.ndarray, num_kv_heads: int, num_sms: int) -> int:
    """Into how many parts the keys of every query tile are cut, when the tiles see `tokens` keys.

    A part of the longest is the batch's whole work shared fairly among the programs that the
    device holds, so that one long sequence is cut although many short ones keep it company. How
    long its part is, each program finds out on the device, from its own sequence's length: a
    launch that was captured in a CUDA graph stays right when sequences grow.
    """
    longest = int(tokens.max(initial=1))
    fair = -(-int(tokens.sum()) * num_kv_heads // (num_sms * PROGRAMS_PER_SM))
    return max(1, min(longest // max(fair, MIN_SPLIT), MAX_SPLITS))
