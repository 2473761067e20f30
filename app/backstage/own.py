"""Parameters of the link that belong to one page each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from backstage import way
from backstage.parameters import one_of, whole
from backstage.xrays import KERNELS, PLACE
from backstage.xrays import SIZES as XRAY_SIZES
from minillm.costs import HARDWARE, MODELS
from minillm.messages import say
from minillm.messages.glossary import KINDS
from minillm.xray.case import LAYOUTS
from minillm.xray.cases import CASES

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Block sizes to choose from, tokens."""
TERMS = tuple(key for keys in KINDS.values() for key in keys)
AXES = ("time", "step")
"""What stages side by side have in common."""
SHAPES = (*MODELS, "pocket")


def _size(language: str, text: str) -> int:
    return int(one_of(language, text, [str(size) for size in SIZES]))


def _xray_size(language: str, text: str) -> int:
    return int(one_of(language, text, [str(size) for size in XRAY_SIZES]))


def _load(language: str, text: str) -> str:
    if not PLACE.fullmatch(text):
        raise ValueError(say(language, "kernel.link_load"))
    return text


@dataclass(frozen=True)
class Own:
    """A parameter: its value on the plain page, and how it is read (ValueError says what may be
    given) and written."""

    default: Any
    read: Callable[[str, str], Any]
    write: Callable[[Any], str] = str


OWN: Mapping[str, Own] = {
    # Roofline
    "shape": Own("llama-2-7b", partial(one_of, known=SHAPES)),
    "hardware": Own("a100-80gb", partial(one_of, known=tuple(HARDWARE))),
    "devices": Own(1, partial(whole, most=64)),
    "batch": Own(16, partial(whole, most=100_000)),
    "length": Own(2048, partial(whole, most=10_000_000)),
    # Compare; () is the scene's problem and what answers it, as recorded
    "ways": Own((), way.read, way.write),
    "axis": Own("time", partial(one_of, known=AXES)),
    # Glossary
    "term": Own(None, partial(one_of, known=TERMS)),
    # Kernel
    "kernel": Own("paged_attention", partial(one_of, known=KERNELS)),
    "case": Own("mixed", partial(one_of, known=tuple(CASES))),
    "kernel_block": Own(4, _xray_size),
    "layout": Own("NHD", partial(one_of, known=LAYOUTS)),
    "load": Own("", _load),
    # Memory
    "kv_block": Own(16, _size),
}


def defaults() -> dict[str, Any]:
    return {name: own.default for name, own in OWN.items()}
