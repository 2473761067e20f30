"""The app's modules lie beside its entry page, as `streamlit run` finds them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
sys.path.insert(0, str(APP))


@pytest.fixture(scope="session")
def pocket():
    from minillm.execution.loader import load_model

    return load_model("pocket")


@pytest.fixture
def until() -> Callable[..., None]:
    """`until(condition)` waits for something that another thread does."""
    import time

    def wait(condition: Callable[[], object], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.01)

    return wait
