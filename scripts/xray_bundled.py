"""Take the X-rays that come with minillm anew: each named case in each layout.

    python scripts/xray_bundled.py

Into minillm/xray/bundled/. Needed when the attention kernel, or what an X-ray records, changes.
"""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from minillm.xray import __file__ as here
from minillm.xray import save, xrays
from minillm.xray.case import EXAMPLE, LAYOUTS
from minillm.xray.cases import CASES


def main() -> None:
    names = [(name, layout) for name in CASES for layout in LAYOUTS]
    cases = [replace(CASES[name](EXAMPLE.block_size), layout=layout) for name, layout in names]
    for (name, layout), seen in zip(names, xrays(cases, timeout=1800), strict=True):
        save(seen, Path(here).with_name("bundled") / f"{name}-{layout}.json")


if __name__ == "__main__":
    main()
