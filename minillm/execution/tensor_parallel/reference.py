"""The unsplit model's logits, from the shares of all ranks: what a split model is checked against.

A plan that forgets a parameter, or splits one that must stay whole, gives wrong logits with any
attention, so the split model's own eager attention proves nothing. Here an empty model of the same
class is run whole on every rank; each module gets its weights from the shares when its turn comes,
and gives them up after it. No more than one module is ever whole in memory.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel


@contextmanager
def unsplit(model: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """A model that computes as `model` did before it was split, with eager attention. All ranks
    must run it alike: its forward is a collective."""
    config = copy.deepcopy(model.config)
    config.distributed_config = None
    config._attn_implementation = "eager"
    plain = type(model).__mro__[1]  # below it is the class that splits
    with torch.device("meta"):
        whole = plain(config).to(model.dtype).eval().requires_grad_(False)
    shares = dict(model.named_parameters(remove_duplicate=False))
    buffers = dict(model.named_buffers(remove_duplicate=False))
    with ExitStack() as hooks:
        for path, module in whole.named_modules(remove_duplicate=False):
            prefix = f"{path}." if path else ""
            for name in module._buffers:
                module._buffers[name] = buffers[prefix + name]
            mine = {
                name: shares[prefix + name]
                for name in module._parameters
                if module._parameters[name] is not None
            }
            if mine:
                hooks.enter_context(_lent(module, mine))
        yield whole


@contextmanager
def _lent(module: torch.nn.Module, shares: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """`module` has the whole of its parameters during its forward, and nothing else."""
    empty = dict(module._parameters)

    def take(*_: Any) -> None:
        for name, share in shares.items():
            module._parameters[name] = torch.nn.Parameter(_whole(share), requires_grad=False)

    def give_up(*_: Any) -> None:
        module._parameters.update(empty)

    handles: list[Callable[[], None]] = [
        module.register_forward_pre_hook(take).remove,
        module.register_forward_hook(give_up, always_call=True).remove,
    ]
    try:
        yield
    finally:
        for remove in handles:
            remove()


def _whole(share: torch.Tensor) -> torch.Tensor:
    return share.full_tensor() if isinstance(share, DTensor) else share.detach()
