"""Charts are saved as they are seen, in a real Chromium."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from browser_tabs import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


def test_a_chart_is_saved_as_svg_and_as_png(tab: Any) -> None:
    one = tab("memory?scene=three-memories", first=".st-key-chart-memories svg.marks")
    box = one.page.locator(".st-key-chart-memories svg.marks").bounding_box()

    def saved(kind: str) -> Path:
        with one.page.expect_download() as download:
            one.page.get_by_role("button", name=f"Save the chart as {kind}").click()
        assert download.value.suggested_filename == f"minillm-memories.{kind.lower()}"
        return download.value.path()

    picture = ET.fromstring(saved("SVG").read_text(encoding="utf-8"))
    assert float(picture.get("width", "0")) == pytest.approx(box["width"])
    assert "paged" in "".join(picture.itertext())
    content = saved("PNG").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">I", content[16:20])[0] == round(2 * box["width"])
