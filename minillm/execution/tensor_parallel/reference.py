"""The unsplit model's logits, from the shares of all ranks: what a split model is checked against.

A plan that forgets a parameter, or splits one that must stay whole, gives wrong logits with any
attention, so the split model's own eager attention proves nothing. Here an empty model of the same
class is run whole on every rank; each module gets its weights from the shares when its turn comes,
and gives them up after it. No more than one module is ever whole in memory.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from transformers import PreTrainedModel

if TYPE_CHECKING or dist.is_available():
    from torch.distributed.tensor import DTensor


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
            split = {}
            for name, empty in module._parameters.items():
                if empty is None:
                    continue
                share = shares[prefix + name]
                if isinstance(share, DTensor):
                    split[name] = share
                else:  # every rank has it whole; some families read such ones from outside
                    module._parameters[name] = share
            if split:
                hooks.enter_context(_lent(module, split))
        yield whole


@contextmanager
def _lent(module: torch.nn.Module, shares: Mapping[str, DTensor]) -> Iterator[None]:
    """`module` has the whole of these parameters during its forward, and nothing of them else."""
    empty = {name: module._parameters[name] for name in shares}

    def take(*_: Any) -> None:
        for name, share in shares.items():
            whole = torch.nn.Parameter(share.full_tensor(), requires_grad=False)
            module._parameters[name] = whole

    def give_up(*_: Any) -> None:
        module._parameters.update(empty)

    handles = [
        module.register_forward_pre_hook(take),
        module.register_forward_hook(give_up, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
