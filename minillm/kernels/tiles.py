"""How large the attention kernel's tiles are, by rule. Nothing here changes a result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from minillm.kernels.plan import AttentionPlan


@dataclass(frozen=True, slots=True)
class Tiles:
    block_m: int  # query rows, a power of two
    block_q: int  # queries: `block_m` over the query heads per KV head, rounded down
    keys: int  # per iteration, a power of two
    num_warps: int
    num_stages: int
    num_sms: int  # multiprocessors of the device


def choose_tiles(
    plan: AttentionPlan, group: int, head_dim: int, element_size: int, device: torch.device
) -> Tiles:
    """Few rows for decodes, which wait for memory; many for prefills, which reuse each key.

    On the CPU, which means the interpreter, time follows the number of iterations.
    """
    most = 16 if element_size > 2 else 64 if head_dim > 128 else 128  # what registers hold
    wanted = min(plan.max_query_len * group, most)
    block_m = max(16, _power_of_2(group), _power_of_2(wanted))
    if device.type == "cpu":
        block_m = max(16, _power_of_2(group), _power_of_2(min(plan.max_query_len * group, 128)))
        return Tiles(block_m, block_m // group, 128, 1, 1, num_sms=1)
    row_bytes = _power_of_2(head_dim) * element_size
    stage = 2**14 if element_size <= 2 else 2**13  # bytes of keys in flight, and again of values
    keys = max(16, min(128, stage // row_bytes))
    num_warps = 8 if block_m >= 128 else 4
    return Tiles(block_m, block_m // group, keys, num_warps, 3, _num_sms(device))


def _power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length()


@cache
def _num_sms(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count
