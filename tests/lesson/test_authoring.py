"""From a source to its notebooks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minillm.lesson.authoring import Source, SourceError, built

TEXT = """\
# %% [markdown] lang="en"
# The [[prefill]]. [Help](../solutions/en/x.ipynb)

# %% [markdown] lang="zh"
# [[prefill]]。

# %% exercise="attend"
def attend(q):
    #:en one line
    #:zh 一行
    # >>> solution
    a = 1
    return a
    # <<<


# %% picture="seen" for_students=true
print(_("yes", "是"))

# %% picture="answer"
lesson.needs(attend)
"""


@pytest.fixture
def notebooks(tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """The cells of each notebook by its path."""
    for language in ("en", "zh"):
        folder = tmp_path / language / "07_x"
        folder.mkdir(parents=True)
        for name in ("seen", "answer"):
            (folder / f"{name}.png").write_bytes(b"picture")
    source = Source("07_x", TEXT, tmp_path)
    return {path.as_posix(): json.loads(content)["cells"] for path, content in built(source)}


def source_of(cells: list[dict[str, Any]], number: int) -> str:
    return "".join(cells[number]["source"])


def test_a_notebook_for_each_language_and_form(notebooks: dict[str, Any]) -> None:
    names = ["en/07_x.ipynb", "zh/07_x.ipynb"]
    assert sorted(notebooks) == sorted([*names, *(f"solutions/{name}" for name in names)])


def test_one_language_is_left(notebooks: dict[str, Any]) -> None:
    english, chinese = notebooks["en/07_x.ipynb"], notebooks["zh/07_x.ipynb"]
    assert source_of(english, 0).startswith("The **prefill**.")
    assert source_of(chinese, 0) == "**预填充**。"
    assert source_of(chinese, 2) == 'print("是")'
    assert "    # one line\n" in source_of(english, 1)
    assert "    # 一行\n" in source_of(chinese, 1)
    assert [cell["id"] for cell in english[1:]] == [cell["id"] for cell in chinese[1:]]


def test_the_terms_of_a_lesson_stand_at_its_end(notebooks: dict[str, Any]) -> None:
    assert source_of(notebooks["en/07_x.ipynb"], -1).startswith("## Words of this lesson")
    assert "**预填充**：" in source_of(notebooks["zh/07_x.ipynb"], -1).replace(": ", "：")


def test_a_student_gets_no_solution(notebooks: dict[str, Any]) -> None:
    student = source_of(notebooks["en/07_x.ipynb"], 1)
    solution = source_of(notebooks["solutions/en/07_x.ipynb"], 1)
    assert student == "def attend(q):\n    # one line\n    ...  # your code here"
    assert solution == "def attend(q):\n    # one line\n    a = 1\n    return a"
    assert notebooks["en/07_x.ipynb"][1]["metadata"] == {"exercise": "attend"}
    assert "](../../solutions/en/" in source_of(notebooks["solutions/en/07_x.ipynb"], 0)


def test_pictures_that_give_an_answer_away_are_the_solutions(notebooks: dict[str, Any]) -> None:
    shown = {
        name: [bool(cell["outputs"]) for cell in cells if cell["cell_type"] == "code"]
        for name, cells in notebooks.items()
    }
    assert shown["en/07_x.ipynb"] == [False, True, False]
    assert shown["solutions/en/07_x.ipynb"] == [False, True, True]


def test_run_all_goes_on_after_a_cell_that_waits(notebooks: dict[str, Any]) -> None:
    assert notebooks["en/07_x.ipynb"][3]["metadata"] == {"tags": ["raises-exception"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# %% [markdown]\n# Hello\n", "which lang"),
        ('# %% [markdown] lang="en"\n# [[nonsense]]\n', "nonsense"),
    ],
)
def test_a_source_that_breaks_the_rules(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=said):
        list(built(Source("07_x", text, tmp_path)))
