"""A model's forward through `torch.compile`, with paged attention as one opaque operator.

The compiler fuses what lies between the attentions (norms, rotary embedding, activations). It must
not look into them: they work on caches that it does not see, through tables that change with every
step. As a custom operator each is one call in the graph, and there are no graph breaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from types import FunctionType
from typing import Any

import torch

from minillm.config import ConfigError
from minillm.execution.attention import LayerAttention, ShapeProbe
from minillm.execution.packing import PackedBatch, forward
from minillm.execution.probe import run_with

_numbers = count()
# An operator takes tensors and numbers only, so it finds the step's attention by number. Nothing
# stays here between two calls.
_in_progress: dict[int, LayerAttention] = {}


@torch.library.custom_op("minillm::attend", mutates_args=())
def _attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    number: int,
    layer: int,
    scale: float,
    sliding_window: int | None,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    return _in_progress[number].attend(
        layer,
        q,
        k,
        v,
        scale=scale,
        sliding_window=sliding_window,
        softcap=softcap,
        sinks=sinks,
    )


@_attend.register_fake
def _(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *_: Any) -> torch.Tensor:
    return q.new_empty(q.shape[0], q.shape[1], v.shape[2])


# Sizes of one are compiled apart from all others.
SIZES = ((5, 2), (3, 1), (1, 1))  # (tokens, logits)


def _with_code_of_its_own(model: torch.nn.Module) -> Callable[..., Any]:
    """`model` as a function. torch counts compilations per code object and gives up at the eighth;
    models of transformers share theirs, so that the third in a process would be refused."""

    def run(**inputs: Any) -> Any:
        return model(**inputs)

    return FunctionType(run.__code__.replace(), run.__globals__, closure=run.__closure__)


@dataclass(frozen=True, slots=True)
class _ByNumber:
    """The `LayerAttention` that the compiled model sees: always the same one."""

    number: int

    def attend(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **options: Any
    ) -> torch.Tensor:
        window, softcap = options["sliding_window"], options["softcap"]
        return _attend(
            q, k, v, self.number, layer, options["scale"], window, softcap, options["sinks"]
        )


class CompiledForward:
    """In place of `packing.forward`, for batches of any size."""

    def __init__(
        self, model: torch.nn.Module, device: torch.device, *, backend: str = "inductor"
    ) -> None:
        """Compiles at once: a minute, more for large models. `backend`: of `torch.compile`. Raises
        ConfigError where that does not work."""
        run = _with_code_of_its_own(model)
        self._model: Any = torch.compile(run, backend=backend, fullgraph=True, dynamic=True)
        self._attention = _ByNumber(next(_numbers))
        try:
            for num_tokens, num_logits in SIZES:
                _in_progress[self._attention.number] = ShapeProbe()
                run_with(self._model, self._attention, num_tokens, num_logits, device)
        except Exception as error:  # whatever compilers and foreign model code make of it
            raise ConfigError(
                f"torch_compile=True does not work here, leave it out: {error}"
            ) from error
        finally:
            _in_progress.pop(self._attention.number, None)

    def __call__(
        self, batch: PackedBatch, attention: LayerAttention, logit_rows: torch.Tensor
    ) -> torch.Tensor:
        """Logits of `logit_rows`, [S, vocab]."""
        number = self._attention.number
        _in_progress[number] = attention
        wanted = len(logit_rows)
        if not wanted:  # a size of none would be compiled apart, too
            logit_rows = batch.query_start_loc[:1]
        try:
            return forward(self._model, batch, self._attention, logit_rows)[:wanted]
        finally:
            del _in_progress[number]
