"""The README promises nothing that is not there: its examples run, its names exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from minillm.cli import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^minillm (.*?)(?:\s+#.*)?$", README, re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_run(
    example: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_exist_with_their_options(line: str) -> None:
    command, name, arguments = typer.main.get_group(cli), "minillm", shlex.split(line)
    while isinstance(command, TyperGroup) and arguments and arguments[0] in command.commands:
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context(name, arguments)


def test_targets_of_make_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))
    assert named
    assert named <= set(targets)


def test_files_named_exist() -> None:
    linked = re.findall(r"\]\(([^)#]+)\)", README)
    quoted = re.findall(r"`((?:minillm|app|lessons|scripts|docs)/[\w./-]*)`", README)
    assert linked
    assert quoted
    for name in (*linked, *quoted):
        assert (ROOT / name).exists(), name
