"""X-rays as files: what is written is read, and what is none is refused with the reason."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minillm.xray import EXAMPLE, XRayError, bundled_xray, load, save
from minillm.xray.file import encode
from minillm.xray.reading import attention, bytes_loaded, bytes_needed, readers, tensor


def test_what_is_saved_is_loaded(tmp_path: Path):
    save(bundled_xray(), tmp_path / "x.json")
    assert load(tmp_path / "x.json") == bundled_xray()
    assert (tmp_path / "x.json").read_bytes() == encode(bundled_xray()) + b"\n"


def test_the_bundled_one_is_the_example():
    xray = bundled_xray()
    assert xray.case == EXAMPLE
    assert attention(xray).grid == (4, 2, 1)
    assert bytes_loaded(attention(xray)) > bytes_needed(xray)  # two tiles read one prompt
    assert any(len(by) == 2 for by in readers(xray, attention(xray)).values())
    assert len(encode(xray)) < 100_000


def test_reading_needs_neither_torch_nor_triton_nor_numpy():
    program = (
        "import sys\n"
        "from minillm.xray import bundled_xray, case_of, xray\n"
        "from minillm.xray.reading import attention, bytes_moved\n"
        "assert bytes_moved(attention(bundled_xray())) > 0\n"
        "print(sorted({'torch', 'triton', 'numpy', 'transformers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    fields = json.loads(encode(bundled_xray()))
    change(fields)
    return json.dumps(fields).encode()


def first(fields: dict[str, Any], tensor: str) -> dict[str, Any]:
    """The first access to `tensor`."""
    accesses = fields["launches"][0]["programs"][0]["accesses"]
    return next(access for access in accesses if access["tensor"] == tensor)


BROKEN: list[tuple[bytes, str]] = [
    (b"", "not a minillm X-ray"),
    (b"\0\x80", "not a minillm X-ray"),
    (b"[1, 2]", "not a minillm X-ray"),
    (b'{"minillm_trace": 1}', "not a minillm X-ray"),
    (b"[" * 10**5, "not a minillm X-ray"),
    (encode(bundled_xray())[:-9], "not a minillm X-ray"),
    (b'{"minillm_xray": 1}', "missing required field `kernel`"),
    (edited(lambda x: x.update(minillm_xray=2)), "has format 2, .* reads 1; upgrade minillm"),
    (edited(lambda x: x.update(minillm_xray=0)), "has format 0, .* take it anew"),
    (edited(lambda x: x["case"].update(block_size=3)), "block_size must be a power of two"),
    (edited(lambda x: x["case"].update(blocks=3)), "unknown field `blocks`"),
    (edited(lambda x: first(x, "q").update(site=99)), "program \\(0, 0, 0\\): there is no site 99"),
    (edited(lambda x: first(x, "q").update(tensor="p")), "there is no tensor 'p'"),
    (edited(lambda x: first(x, "q").update(lanes="p")), "Expected `int`, got `str`"),
    (edited(lambda x: first(x, "q").update(boxes=[[[0, 1]]])), "is no part of q"),
    (edited(lambda x: first(x, "k_cache")["boxes"][0].__setitem__(0, [98, 99])), "no part of k_ca"),
    (edited(lambda x: x["tensors"][0].update(shape=[1])), "axes, shape and strides that differ"),
    (edited(lambda x: x["tensors"].pop()), "was given 'out'|there is no tensor|was given"),
    (
        edited(lambda x: x["launches"][0]["programs"][0]["values"][0].update(after=99)),
        "highest after access 99",
    ),
    (
        edited(lambda x: x["launches"][0]["programs"][0]["values"][0].update(values=["many"])),
        "'many' is no number",
    ),
]


@pytest.mark.parametrize(("data", "why"), BROKEN, ids=range(len(BROKEN)))
def test_what_is_none_is_refused(tmp_path: Path, data: bytes, why: str):
    path = tmp_path / "broken.json"
    path.write_bytes(data)
    with pytest.raises(XRayError, match=why) as told:
        load(path)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


def test_paths_that_cannot_be(tmp_path: Path):
    with pytest.raises(XRayError, match="there is no file"):
        load(tmp_path / "nothing.json")
    with pytest.raises(XRayError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(XRayError, match="cannot save to"):
        save(bundled_xray(), tmp_path / "no" / "folder.json")
    with pytest.raises(XRayError, match="not a regular file"):
        save(bundled_xray(), tmp_path)


def test_a_tensor_that_is_not_there():
    with pytest.raises(XRayError, match=r"no kernel was given a tensor 'k'; there are: q, k_cache"):
        tensor(bundled_xray(), "k")
