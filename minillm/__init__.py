"""minillm: see LLM serving happen. A compact inference engine that records its every decision.

    from minillm import LLM, SamplingParams, Trace, simulate

Importing the package is quick: torch and transformers are loaded with the first `LLM`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minillm.version import __version__

if TYPE_CHECKING:
    from minillm.config import ConfigError, EngineConfig
    from minillm.engine import Engine
    from minillm.llm import LLM
    from minillm.request import RequestOutput, RequestRejected, SamplingParams
    from minillm.scheduling import Scheduler
    from minillm.simulation import simulate
    from minillm.trace.trace import Trace

__all__ = [
    "LLM",
    "ConfigError",
    "Engine",
    "EngineConfig",
    "RequestOutput",
    "RequestRejected",
    "SamplingParams",
    "Scheduler",
    "Trace",
    "__version__",
    "simulate",
]

_HOME = {
    "LLM": "minillm.llm",
    "ConfigError": "minillm.config",
    "Engine": "minillm.engine",
    "EngineConfig": "minillm.config",
    "RequestOutput": "minillm.request",
    "RequestRejected": "minillm.request",
    "SamplingParams": "minillm.request",
    "Scheduler": "minillm.scheduling",
    "Trace": "minillm.trace.trace",
    "simulate": "minillm.simulation",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'minillm' has no attribute {name!r}")
