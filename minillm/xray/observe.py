"""One call of a kernel's function under the interpreter, observed. Needs TRITON_INTERPRET=1."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch

from minillm.kernels.tiles import AttentionShape, Tiles, choose_tiles
from minillm.xray.addresses import AddressMap
from minillm.xray.case import Case, XRayError
from minillm.xray.inputs import SCALES, inputs, kv_dtype
from minillm.xray.observer import Observer
from minillm.xray.records import XRay


def observe(case: Case, function: Callable[..., Any], name: str, watch: Iterable[str]) -> XRay:
    """Call `function`, which launches kernels, with what its parameters ask for by name, and
    watch. `name` is what the X-ray calls it. Raises XRayError where a parameter has another name,
    where the case asks for something that the function does not know, and for what it raises."""
    known = inputs(case)
    tensors = {key: each.tensor for key, each in known.items()}
    arguments = _arguments(case, function, name, tensors)
    memory = AddressMap()
    for key, each in known.items():
        if key in arguments:
            memory.add(key, each.tensor, each.axes)
    given = len(memory.regions)
    observer = Observer(memory, watch)
    with observer.watching():
        function(**arguments)
    launches = observer.launches
    if not launches:
        raise XRayError(
            f"{name} launched no kernel that was interpreted: its kernels must be "
            "decorated with triton.jit, in the file that the function comes from"
        )
    used = {tensor for launch in launches for tensor in launch.tensors.values()}
    regions = [r for i, r in enumerate(memory.regions) if i >= given or r.tensor.name in used]
    return XRay(kernel=name, case=case, tensors=tuple(r.tensor for r in regions), launches=launches)


def _options(case: Case) -> dict[str, Any]:
    """What `case` asks for beyond the kernel's own choice."""
    options: dict[str, Any] = {
        "sliding_window": case.sliding_window,
        "num_splits": case.num_splits,
        "layout": case.layout if case.layout != "NHD" else None,
        "tiles": _tiles(case) if case.tile_rows or case.tile_keys else None,
    }
    return {key: value for key, value in options.items() if value is not None}


def _tiles(case: Case) -> Tiles:
    """The kernel's choice for the interpreter, but for the sizes that the case sets."""
    types = getattr(torch, case.dtype), kv_dtype(case)
    shape = AttentionShape(case.group, case.head_dim, case.head_dim, *types)
    tiles = choose_tiles(max(case.query_lens), shape, torch.device("cpu"))
    rows, keys = case.tile_rows or tiles.block_m, case.tile_keys or tiles.keys
    return replace(tiles, block_m=rows, block_q=rows // case.group, keys=keys)


def _arguments(
    case: Case, function: Callable[..., Any], name: str, tensors: dict[str, Any]
) -> dict[str, Any]:
    """The arguments that `function` asks for, and the case's options."""
    options = _options(case) | {key: tensors[key] for key in SCALES if key in tensors}
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise XRayError(f"{name} is no Python function that launches kernels") from None
    offered = tensors | {"scale": case.head_dim**-0.5}
    arguments = dict(options)
    for parameter in parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in offered:
            arguments[parameter.name] = offered[parameter.name]
        elif parameter.name not in options and parameter.default is parameter.empty:
            raise XRayError(
                f"{name} has a parameter {parameter.name!r}, which X-rays do not give. "
                f"Known: {', '.join(offered)}."
            )
    takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
    for option in options:
        if option not in parameters and not takes_any:
            raise XRayError(f"{name} has no parameter {option!r}, which the case sets")
    return arguments
