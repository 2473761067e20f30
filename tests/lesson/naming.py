"""What holds for each judge: a wrong answer is named, in every language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minillm.lesson.exercise import Wrong
from minillm.messages import LANGUAGES, say


def assert_named(judge: Callable[[Any], None], answer: Any, key: str) -> None:
    """`judge` refuses `answer` with the text `key`."""
    with pytest.raises(Wrong) as wrong:
        judge(answer)
    assert wrong.value.key == key
    for language in LANGUAGES:
        assert say(language, wrong.value.key, **wrong.value.values)
