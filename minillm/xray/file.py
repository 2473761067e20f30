"""X-rays as files: one JSON object (docs/xray.md)."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from minillm.trace import TraceError
from minillm.trace.file import write
from minillm.xray.case import XRayError
from minillm.xray.records import FORMAT_VERSION, Access, Box, Tensor, XRay

_BUNDLED = Path(__file__).with_name("bundled")
_decoder = msgspec.json.Decoder(XRay)


class _Key(msgspec.Struct):
    """The key that tells an X-ray from other JSON."""

    minillm_xray: int


def encode(xray: XRay) -> bytes:
    """As JSON, on one line."""
    return msgspec.json.encode(xray)


def save(xray: XRay, path: str | os.PathLike[str]) -> None:
    """Write `xray` to `path`, whole or not at all. Raises XRayError where that cannot be."""
    try:
        write(path, [encode(xray)])
    except TraceError as error:
        raise XRayError(str(error)) from error


def load(path: str | os.PathLike[str]) -> XRay:
    """Read an X-ray that `save` wrote; needs neither torch nor triton. Raises XRayError, with the
    reason, for a file that is none, that is newer, or that contradicts itself."""
    if os.path.isdir(path):
        raise XRayError(f"{path} is a folder, not an X-ray")
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise XRayError(f"there is no file {path}") from None
    except OSError as error:
        raise XRayError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return decode(data)
    except XRayError as error:
        raise XRayError(f"{path}: {error}") from None


def bundled_xray(case: str = "mixed", layout: str = "NHD") -> XRay:
    """The X-ray of `paged_attention` over one of `CASES` in blocks of 4 tokens that comes with
    minillm, for machines without triton. "mixed" is `EXAMPLE`."""
    return load(_BUNDLED / f"{case}-{layout}.json")


def decode(data: bytes) -> XRay:
    """The X-ray in `data`. Raises XRayError, with the reason, where there is none."""
    try:
        version = msgspec.json.decode(data, type=_Key).minillm_xray
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise XRayError("not a minillm X-ray: no JSON object with 'minillm_xray'") from None
    if version != FORMAT_VERSION:
        raise XRayError(
            f"the X-ray has format {version}, this minillm reads {FORMAT_VERSION}; "
            + ("upgrade minillm" if version > FORMAT_VERSION else "take it anew")
        )
    try:
        xray = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise XRayError(str(error)) from None
    _check(xray)
    return xray


def _check(xray: XRay) -> None:
    """That everything named is there."""
    tensors = {tensor.name: tensor for tensor in xray.tensors}
    for tensor in xray.tensors:
        if not len(tensor.axes) == len(tensor.shape) == len(tensor.strides):
            raise XRayError(f"tensor {tensor.name!r} has axes, shape and strides that differ")
    for launch in xray.launches:
        if missing := [name for name in launch.tensors.values() if name not in tensors]:
            raise XRayError(f"{launch.kernel} was given {missing[0]!r}, which is no tensor of it")
        for program in launch.programs:
            where = f"{launch.kernel}, program {program.id}"
            for access in program.accesses:
                if not 0 <= access.site < len(launch.sites):
                    raise XRayError(f"{where}: there is no site {access.site}")
                if access.tensor and access.tensor not in tensors:
                    raise XRayError(f"{where}: there is no tensor {access.tensor!r}")
                if access.tensor:
                    _check_boxes(where, access, tensors[access.tensor])
            for value in program.values:
                if not 0 <= value.after <= len(program.accesses):
                    raise XRayError(f"{where}: {value.name} after access {value.after}")
                _check_numbers(where, value.values)


def _check_boxes(where: str, access: Access, tensor: Tensor) -> None:
    def fits(box: Box) -> bool:
        if len(box) != len(tensor.shape):
            return False
        return all(0 <= a < b <= n for (a, b), n in zip(box, tensor.shape, strict=True))

    for box in access.boxes:
        if not fits(box):
            raise XRayError(f"{where}: {box} is no part of {tensor.name}, {tensor.shape}")


def _check_numbers(where: str, values: tuple[float | str, ...]) -> None:
    for value in values:
        if isinstance(value, str) and value not in ("inf", "-inf", "nan"):
            raise XRayError(f"{where}: {value!r} is no number")
