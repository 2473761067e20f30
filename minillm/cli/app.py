"""`minillm app`: the Streamlit app on this machine."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

import minillm
from minillm.cli.shell import fail

LOCAL = ("localhost", "127.0.0.1", "::1")
EXPOSED = """\
Listening on {host}: whoever reaches this machine over the network can open the app, without a
password and without encryption. Visitors can run up to {n} engines here, send prompts, and name a
model to load: one to download, or a folder of this machine. Use it on a network that you trust.
"""


def app(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "localhost",
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port to listen on; by default the first free one."),
    ] = None,
    max_engines: Annotated[
        int, typer.Option(min=1, help="Engines at once; visitors beyond that wait in line.")
    ] = 8,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Open the app."""
    page = app_page()
    if page is None:
        fail("the app's pages are not installed beside minillm; install it anew")
    if find_spec("streamlit") is None:
        fail('the app needs Streamlit: pip install "minillm-lab[app]"')
    options = {
        "server.address": host,
        "server.headless": "false" if browser and _has_display() else "true",
        "server.showEmailPrompt": "false",
        "browser.gatherUsageStats": "false",
        # A full collection after every tick of the page holds the interpreter for hundreds of
        # milliseconds once torch is loaded, and the engine's thread stands still meanwhile.
        "runner.postScriptGC": "false",
    }
    if port is not None:
        options["server.port"] = str(port)
    from streamlit.web.cli import main  # in this process, so that signals end it

    if host not in LOCAL:
        print(EXPOSED.format(host=host, n=max_engines))
    flags = (f"--{name}={value}" for name, value in options.items())
    main(["run", str(page), *flags, "--", f"--max-engines={max_engines}"])


def _has_display() -> bool:
    """Whether a browser could open a window; elsewhere Streamlit prints the address."""
    return sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())


def app_page() -> Path | None:
    """The app's entry page: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(minillm.__file__).parent
    for folder in (package.parent / "app", package / "_app"):
        if (folder / "main.py").is_file():
            return folder / "main.py"
    return None
