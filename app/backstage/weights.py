"""Model weights, loaded once and shared by every session. torch is imported here, and late."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minillm.execution.loaded_model import LoadedModel


class Weights:
    """Loaded models by name, the `keep` used last. Thread-safe: who asks first loads, the others
    wait."""

    def __init__(self, keep: int = 2) -> None:
        self._keep = keep
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """The models in memory."""
        return list(self._models)

    def get(self, name: str) -> LoadedModel:
        """The model; loads it when it is not there yet. Raises ModelError."""
        with self._lock:
            if name not in self._models:
                self._models[name] = _load(name)
                while len(self._models) > self._keep:
                    self._models.popitem(last=False)
            self._models.move_to_end(name)
            return self._models[name]


def _load(name: str) -> LoadedModel:
    from minillm.execution.loader import load_model
    from minillm.threads import set_threads

    set_threads()
    return load_model(name)
