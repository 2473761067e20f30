"""One module out of several, without a build step.

The stage's modules keep a convention that makes joining them plain text work: an import is one
statement that starts a line and ends with `from "./x.js";`, names no alias, and what is exported
is marked at its declaration (`export function`, `export const`). So the modules are put one after
the other, each after those it imports, without those words. Names at the top level are shared by
all and must differ. A catalogue of texts, imported as JSON by one statement on one line, becomes a
constant.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
_IMPORT = re.compile(r'^import\s+\{[^}]*\}\s+from\s+"(\.[^"]+)";\n', re.MULTILINE)
_JSON = re.compile(r'^import (\w+) from "(\.[^"]+\.json)" with \{ type: "json" \};\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function |const |class )", re.MULTILINE)
_DECLARED = re.compile(
    r"^(?:export )?(?:async )?(?:function|const|let|class) ([A-Za-z_$][\w$]*)", re.MULTILINE
)
_HOSTS = {
    "page": ("js/host-page.js", "mountPage();\n"),
    "streamlit": ("js/host-streamlit.js", "export default mountStreamlit;\n"),
    "streamlit_feed": ("js/host-streamlit-feed.js", "export default mountFeed;\n"),
    "streamlit_together": ("js/host-streamlit-together.js", "export default mountTogether;\n"),
    "anywidget": ("js/host-anywidget.js", "export default anywidgetHost;\n"),
    "xray": ("xray/host.js", "export default mountXray;\n"),
}


class BundleError(ValueError):
    """The modules break the convention above; the message names the file."""


@cache
def bundle(host: str) -> str:
    """The stage and one host as one ES module's text: "page", "streamlit", "streamlit_together" or
    "anywidget"; or without the stage "streamlit_feed", what it is fed by, and in its own host the
    picture of an X-ray: "xray"."""
    entry, ending = _HOSTS[host]
    return join(HERE / entry) + ending


@cache
def stylesheet() -> str:
    """The stage's CSS."""
    return (HERE / "stage.css").read_text(encoding="utf-8")


def join(entry: Path) -> str:
    """`entry` and all it imports, in the order of need, as one text without imports."""
    ordered: dict[Path, str] = {}
    _collect(entry.resolve(), ordered, ())
    owner: dict[str, str] = {}
    for path, source in ordered.items():
        for name in _DECLARED.findall(source):
            if name in owner:
                raise BundleError(f"{path.name}: {name} is declared in {owner[name]} already")
            owner[name] = path.name
    parts = []
    for path, source in ordered.items():
        plain = _EXPORT.sub("", _IMPORT.sub("", source))
        left = re.search(r"^(?:import|export)\b.*", plain, re.MULTILINE)
        if left:
            raise BundleError(f"{path.name}: cannot join {left.group()!r}")
        parts.append(plain)
    return "\n".join(parts)


def _collect(path: Path, ordered: dict[Path, str], above: tuple[Path, ...]) -> None:
    if path in ordered:
        return
    if path in above:
        raise BundleError(f"{path.name}: imports go round in a circle")
    source = _JSON.sub(lambda found: _constant(path, *found.groups()), path.read_text("utf-8"))
    for target in _IMPORT.findall(source):
        _collect((path.parent / target).resolve(), ordered, (*above, path))
    ordered[path] = source


def _constant(importer: Path, name: str, target: str) -> str:
    value = json.loads((importer.parent / target).read_text("utf-8"))
    text = json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
    return f"const {name} = {text};\n"
