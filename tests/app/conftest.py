"""The app's modules lie beside its entry page, as `streamlit run` finds them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_tabs import Tab, served

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


@pytest.fixture
def page() -> Callable[..., Any]:
    """`page(name, **query)` opens a page of the app with a link's parameters, through AppTest."""
    from streamlit.testing.v1 import AppTest

    def open_page(name: str = "live", locale: str | None = None, **query: str) -> AppTest:
        at = AppTest.from_file(str(APP / "main.py"), default_timeout=120)
        at.context["locale"] = locale
        at.query_params.update(query)
        at.run()
        if name != "live":
            at.switch_page(f"{name}.py").run()
        assert not at.exception, at.exception
        return at

    return open_page


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app, served."""
    with served(tmp_path_factory.mktemp("app")) as url:
        yield url


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Callable[..., Tab]]:
    opened: list[Tab] = []

    def open_tab(query: str = "", *options: Any, **more: Any) -> Tab:
        opened.append(Tab(browser, f"{address}/{query}", *options, **more))
        return opened[-1]

    yield open_tab
    for one in opened:
        one.page.close()
        assert one.complaints == []
