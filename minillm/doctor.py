"""What this machine can do, and what to do about what it cannot."""

from __future__ import annotations

import platform
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil

from minillm.threads import serving_threads

if TYPE_CHECKING:
    from minillm.execution.loaded_model import LoadedModel

OLDEST_PYTHON = (3, 11)
GIB = 1 << 30
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
_MAC_BROWSERS = ("Google Chrome", "Chromium", "Microsoft Edge")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. "note": works, with a limit. "problem": something will not work."""

    status: Literal["ok", "note", "problem"]
    what: str
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    """Look at everything. Loads torch and the bundled model, which takes seconds."""
    return [
        _python(),
        *_torch(),
        _compiler(),
        *_devices(),
        _triton(),
        *_tiles(),
        _memory(),
        *_model(),
        *(_package(name, needed_for) for name, needed_for in _PACKAGES.items()),
        _browser(),
    ]


_PACKAGES = {
    "transformers": "",
    "streamlit": "the app: pip install 'minillm-lab[app]'",
    "altair": "the app: pip install 'minillm-lab[app]'",
    "anywidget": "notebooks: pip install 'minillm-lab[lessons]'",
}


def _python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info >= OLDEST_PYTHON:
        return Finding("ok", "Python", found)
    return Finding("problem", "Python", found, "install Python 3.11 or newer")


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("problem", "torch", f"does not load: {error}", "install it anew: make setup")
        return
    yield Finding("ok", "torch", torch.__version__)
    logical = psutil.cpu_count() or 1
    chosen = min(serving_threads(), torch.get_num_threads())
    yield Finding("ok", "CPU threads", f"{chosen} to serve with, of {logical} logical CPUs")


def _compiler() -> Finding:
    from minillm.kernels.native import compiler

    found = compiler()
    if found is None:
        advice = "a CPU serves without one, but slower; on Debian and Ubuntu: apt install gcc"
        return Finding("note", "C compiler", "none", advice)
    return Finding("ok", "C compiler", f"{found[0][0]}, for faster layers on the CPU")


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError):
        return
    if not torch.cuda.is_available():
        if torch.version.cuda is None and shutil.which("nvidia-smi"):
            advice = "this torch is the CPU build; for the GPU: pip install --force-reinstall torch"
            yield Finding("note", "GPU", "there is one, and torch cannot use it", advice)
        else:
            advice = "models run on the CPU; recordings made on a GPU play here all the same"
            yield Finding("note", "GPU", "no CUDA device", advice)
        return
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        found = (
            f"cuda:{index} {device.name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free, "
            f"compute capability {device.major}.{device.minor}"
        )
        yield Finding("ok", "GPU", found)


def _triton() -> Finding:
    found = _version("triton")
    if found is None:
        advice = "attention runs in torch"
        if sys.platform == "linux":
            return Finding("note", "Triton", "not installed", f"{advice}; pip install triton")
        return Finding("note", "Triton", "exists on Linux only", advice)
    try:
        import torch

        compiles = torch.cuda.is_available()
    except (ImportError, OSError):
        compiles = False
    if compiles:
        return Finding("ok", "Triton", f"{found}, compiles for the GPU")
    advice = "attention runs in torch; kernels can be studied in the interpreter"
    return Finding("note", "Triton", f"{found}, interpreter only (no GPU)", advice)


def _tiles() -> Iterator[Finding]:
    """Which tiles the attention kernel takes on each GPU, and where tuned ones are kept."""
    what = "attention tiles"
    try:
        import torch

        from minillm.kernels.tile_cache import cache_folder, entries
        from minillm.kernels.tiles import AttentionShape, choose_tiles, machine_key
    except (ImportError, OSError):
        return
    folder = cache_folder()
    if not torch.cuda.is_available() or _version("triton") is None:
        found = f"no GPU to choose them for; tuned ones would be kept in {folder}"
        yield Finding("note", what, found, "on a GPU: minillm tune")
        return
    for index in range(torch.cuda.device_count()):
        device = torch.device("cuda", index)
        own = machine_key(device).items()
        tuned = [(key, record) for key, record in entries(folder) if own <= key.items()]
        for key, record in tuned:
            yield Finding("ok", what, f"cuda:{index} {told(key, record)}, tuned, in {folder}")
        if not tuned:
            bf16 = torch.bfloat16
            shape = AttentionShape(4, 128, 128, bf16, bf16)
            decode, prefill = (choose_tiles(queries, shape, device) for queries in (1, 4096))
            found = (
                f"cuda:{index} bfloat16, heads of 128, 4 per KV head, by rule: decode {decode}; "
                f"prefill {prefill}; none tuned in {folder}"
            )
            yield Finding("ok", what, found, "minillm tune looks for faster ones")


def told(key: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """An entry of the cache of tuned tiles, for people."""
    gained = ""
    if record.get("rule_seconds") and record.get("seconds"):
        gained = f", {record['rule_seconds'] / record['seconds']:.2f}× the rule's speed"
    return (
        f"{key['dtype']}, heads of {key['head_dim']}, {key['group']} per KV head, {key['kind']}: "
        f"{record['block_m']} rows × {record['keys']} keys, {record['num_warps']} warps, "
        f"{record['num_stages']} stages{gained}"
    )


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB available"
    if memory.available < 2 * GIB:
        return Finding("note", "memory", found, "close something: torch and a model want 2 GiB")
    return Finding("ok", "memory", found)


def _model() -> Iterator[Finding]:
    """Load the bundled model as a run would, and size its KV pool."""
    from minillm.pocket import pocket_path

    if not (pocket_path() / "model.safetensors").is_file():
        advice = "the installation is incomplete; install minillm anew"
        yield Finding("problem", "pocket model", f"no weights in {pocket_path()}", advice)
        return
    began = time.perf_counter()
    try:
        from minillm.execution.loader import load_model

        loaded = load_model("pocket")
    except Exception as error:  # whatever stops it is what is to be shown
        yield Finding("problem", "pocket model", f"{type(error).__name__}: {error}")
        return
    seconds = time.perf_counter() - began
    dtype = str(loaded.dtype).removeprefix("torch.")
    yield Finding(
        "ok", "pocket model", f"loads in {seconds:.1f} s, serves in {dtype} on {loaded.device}"
    )
    yield _pool(loaded)


def _pool(loaded: LoadedModel) -> Finding:
    from minillm.config import EngineConfig
    from minillm.execution.kv_tensors import blocks_that_fit, bytes_per_block

    fit = blocks_that_fit(loaded, block_size=16)
    config = EngineConfig().resolve(
        chunked=True, model_max_len=loaded.max_model_len, blocks_that_fit=fit
    )
    size = config.num_blocks * bytes_per_block(loaded, config.block_size)
    found = f"{config.num_blocks:,} blocks of {config.block_size} tokens, {size / GIB:.2f} GiB"
    if config.num_blocks * config.block_size < loaded.max_model_len:
        return Finding("note", "its KV pool", found, "too small for one full context: free memory")
    return Finding("ok", "its KV pool", found)


def _package(name: str, needed_for: str) -> Finding:
    found = _version(name)
    if found is not None:
        return Finding("ok", name, found)
    if not needed_for:
        return Finding("problem", name, "not installed", "install minillm anew: make setup")
    return Finding("note", name, "not installed", f"needed for {needed_for}")


def _browser() -> Finding:
    found = find_browser()
    if found is not None:
        return Finding("ok", "browser", found)
    advice = "any browser opens the app; its tests want Chromium (Debian: apt install chromium)"
    return Finding("note", "browser", "no Chromium or Chrome on the path", advice)


def find_browser() -> str | None:
    """The path of a Chromium-like browser, None where there is none."""
    for name in _BROWSERS:
        if path := shutil.which(name):
            return path
    for name in _MAC_BROWSERS:
        path = Path("/Applications") / f"{name}.app" / "Contents" / "MacOS" / name
        if path.is_file():
            return str(path)
    return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
