"""C compiled when it is first needed, for the processor it runs on, and kept in the user's cache.

A machine without a compiler loses speed and nothing else: `load` then returns None and the caller
computes in torch.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from minillm.kernels.tile_cache import cache_folder

log = logging.getLogger(__name__)

PATIENCE = 60  # seconds that compiling one small file may take
OPTIMISE = ("-O3", "-fopenmp-simd", "-fno-math-errno", "-std=gnu11")
LIBRARY = ("-shared", "-fPIC", "-pthread")


def compiled_folder() -> Path:
    """Where compiled libraries are kept; it may be deleted."""
    return cache_folder().parent / "compiled"


def source_of(name: str) -> Path:
    """A C file of this folder."""
    return Path(__file__).with_name(name)


def load(source: Path, defines: Mapping[str, int], folder: Path) -> ctypes.CDLL | None:
    """The library made of `source` with `defines` as macros, from `folder` if it is there already;
    None, and a remark in the log, where it cannot be had.

    The file's name is a hash of the source, the headers beside it, the macros and everything the
    compiler says of itself and of the processor, so that a folder can be shared by unlike machines.
    """
    found = compiler()
    if found is None:
        return None
    command, identity = found
    macros = [f"-D{name}={value}" for name, value in sorted(defines.items())]
    try:
        texts = [path.read_text("utf-8") for path in (source, *sorted(source.parent.glob("*.h")))]
        told = "\0".join((*texts, *command, *OPTIMISE, *macros, identity))
        path = folder / f"{source.stem}-{hashlib.sha256(told.encode()).hexdigest()[:24]}.so"
        if not path.is_file():
            _compile([*command, *OPTIMISE, *LIBRARY, *macros], source, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        log.warning("%s is not compiled, torch computes instead: %s", source.name, said)
        return None


@cache
def compiler() -> tuple[list[str], str] | None:
    """The C compiler's command for this processor ($CC, cc, gcc or clang), and its version and
    target as its own macros tell them; None where there is none."""
    named = shlex.split(os.environ.get("CC", ""))
    candidates = [named] if named else [["cc"], ["gcc"], ["clang"]]
    native = "-march=native" if platform.machine() in ("x86_64", "AMD64") else "-mcpu=native"
    for candidate in candidates:
        if shutil.which(candidate[0]) is None:
            continue
        command = [*candidate, native]
        try:
            macros = subprocess.run(
                [*command, "-dM", "-E", "-x", "c", os.devnull],
                capture_output=True,
                text=True,
                check=True,
                timeout=PATIENCE,
            ).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        return command, macros
    return None


def _compile(command: list[str], source: Path, path: Path) -> None:
    """The library appears whole or not at all: processes may compile the same one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        subprocess.run(
            [*command, "-o", str(made), str(source)],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        made.replace(path)
