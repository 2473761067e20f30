"""From a checkpoint to one rank's share of it, as transformers' plan for the family splits it.

Every rank reads its own slices, and no rank ever holds the whole model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from transformers.distributed.configuration_utils import DistributedConfig

from minillm.config import ConfigError
from minillm.execution.loaded_model import ModelError
from minillm.execution.tensor_parallel.group import check_platform

HEAD_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "q_b_proj", "qkv_proj", "query_key_value")


def refuse_split(name: str, config: Any, size: int, device: torch.device) -> None:
    """Raise ModelError or ConfigError for what cannot be split over `size` ranks."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigError(f"tensor_parallel must be a whole number of at least 1, got {size!r}.")
    check_platform()
    text = config.get_text_config(decoder=True)
    plan = getattr(text, "base_model_tp_plan", None)
    if not plan:
        raise ModelError(
            f"{name}: transformers has no plan for splitting the layers of the {text.model_type} "
            "family (base_model_tp_plan), so it runs with tensor_parallel=1 only."
        )
    if any(how == "colwise" and rule.endswith(HEAD_PROJECTIONS) for rule, how in plan.items()):
        heads = text.num_attention_heads
        kv_heads = getattr(text, "num_key_value_heads", None) or heads
        if heads % size or kv_heads % size:
            raise ModelError(
                f"{name} has {heads} attention heads and {kv_heads} KV heads; tensor_parallel="
                f"{size} must divide both. Take a divisor of {kv_heads}."
            )
    _refuse_device(size, device)


def _refuse_device(size: int, device: torch.device) -> None:
    if device.type == "cuda":
        if device.index is not None:
            raise ModelError(
                f"device '{device}' names one GPU, and tensor_parallel={size} takes the first "
                f"{size}. Use device='cuda', and CUDA_VISIBLE_DEVICES to choose which."
            )
        if size > torch.cuda.device_count():
            raise ModelError(
                f"tensor_parallel={size} needs as many GPUs; torch sees "
                f"{torch.cuda.device_count()}. Lower it, or use device='cpu' without GPUs."
            )
    elif (there := torch.accelerator.current_accelerator()) is not None and there.type != "cpu":
        raise ModelError(
            f"tensor_parallel={size} on the CPU: transformers would take this machine's "
            f"{there.type} devices. Hide them (CUDA_VISIBLE_DEVICES='') to run on the CPU."
        )


def serve_other_rank(size: int) -> None:
    """Under torchrun: on rank 0 nothing; on any other rank serve rank 0, then exit. ModelError
    when it started another number of processes than `size`, or on several machines."""
    if not dist.is_torchelastic_launched():
        return
    world, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if world != size or here != size:
        raise ModelError(
            f"torchrun started {world} processes, {here} of them on this machine; "
            f"tensor_parallel={size} needs {size} on one machine (--nproc-per-node {size})."
        )
    if int(os.environ["RANK"]) > 0:
        from minillm.execution.tensor_parallel.worker import main

        main()


def backend_for(device: torch.device) -> str:
    """What the ranks talk through: NCCL between GPUs, gloo between CPU processes."""
    return "nccl" if device.type == "cuda" else "gloo"


def device_of_rank(device: torch.device, rank: int) -> torch.device:
    """GPU number `rank`, made this process's current one; or the CPU."""
    if device.type != "cuda":
        return device
    torch.cuda.set_device(rank)
    return torch.device("cuda", rank)


def split_class(model_class: Any) -> Any:
    """`model_class`, whose `from_pretrained` takes `split_settings`, splits, and leaves the share
    in CPU memory: placing it elsewhere itself, transformers would want another package, accelerate.
    """

    def prepare_distribute_model(cls: Any, *args: Any, **kwargs: Any) -> Any:
        config, _device_map, mesh = super(split, cls).prepare_distribute_model(*args, **kwargs)
        return config, None, mesh

    # Same name and module: by these transformers finds what it knows of the family's files.
    split = type(
        model_class.__name__,
        (model_class,),
        {
            "__module__": model_class.__module__,
            "prepare_distribute_model": classmethod(prepare_distribute_model),
        },
    )
    return split


def split_settings(size: int) -> dict[str, Any]:
    """What to give to `from_pretrained` besides."""
    return {"distributed_config": DistributedConfig(tp_size=size, tp_plan="auto")}


@contextmanager
def local_rank(rank: int) -> Iterator[None]:
    """Meanwhile LOCAL_RANK says which GPU is this process's: transformers looks there."""
    before = os.environ.get("LOCAL_RANK")
    os.environ["LOCAL_RANK"] = str(rank)
    try:
        yield
    finally:
        if before is None:
            del os.environ["LOCAL_RANK"]
        else:
            os.environ["LOCAL_RANK"] = before
