"""What the commands share: where they print, and how they fail."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

from minillm.config import ConfigError
from minillm.request import RequestRejected
from minillm.trace import TraceError
from minillm.workload.readers import TraceFileError
from minillm.xray import XRayError


class Shell(TyperGroup):
    """The group of commands. A mistake of the user ends in one line and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except _mistakes() as error:
            fail(str(error))


def _mistakes() -> tuple[type[Exception], ...]:
    """ModelError lives beside torch: where torch is not loaded, nobody raised it."""
    told = (ConfigError, RequestRejected, TraceError, TraceFileError, XRayError)
    loaded_model = sys.modules.get("minillm.execution.loaded_model")
    return told if loaded_model is None else (*told, loaded_model.ModelError)


def fail(message: str) -> NoReturn:
    """Say what is wrong on stderr and exit with code 2."""
    notes().print(f"error: {printable(message)}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(2)


def output() -> Console:
    """Stdout: what was asked for. Made anew each time, so that redirection is seen."""
    return Console(highlight=False)


def notes() -> Console:
    """Stderr: progress and remarks."""
    return Console(stderr=True, highlight=False)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show `what` on stderr, with a spinner, while something takes its time."""
    console = notes()
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        console.print(what, markup=False)
        yield


def printable(text: str) -> str:
    """Text for a terminal: control and direction-changing characters become visible escapes."""
    return "".join(
        char
        if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf")
        else ascii(char)[1:-1]
        for char in text
    )
