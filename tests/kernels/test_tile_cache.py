"""The cache of tuned tiles: what it keeps, and that nothing wrong with it is a failure."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from minillm.kernels import tile_cache
from minillm.kernels import tiles as tiles_module
from minillm.kernels.tiles import AttentionShape, Gpu, Tiles, tile_key, tuned_tiles

KEY = {"kind": "decode", "group": 4, "gpu": "NVIDIA H200"}
RECORD = {"block_m": 16, "keys": 32, "num_warps": 4, "num_stages": 3}
SHAPE = AttentionShape(4, 128, 128, torch.bfloat16, torch.bfloat16)
CUDA = torch.device("cuda")


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "tiles"
    assert tile_cache.read(KEY, folder) is None
    path = tile_cache.write(KEY, RECORD, folder)
    assert tile_cache.read(KEY, folder) == RECORD
    assert list(tile_cache.entries(folder)) == [(KEY, RECORD)]
    assert list(folder.iterdir()) == [path]  # nothing unfinished lies about


def test_every_part_of_the_key_counts(tmp_path: Path) -> None:
    tile_cache.write(KEY, RECORD, tmp_path)
    for name in KEY:
        assert tile_cache.read(KEY | {name: "other"}, tmp_path) is None
    tile_cache.write(KEY, RECORD | {"keys": 64}, tmp_path)
    assert tile_cache.read(KEY, tmp_path) == RECORD | {"keys": 64}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b'{"key": {}}', b'{"key": 1, "record": {}}']
)
def test_a_corrupt_file_is_ignored_with_a_warning(tmp_path: Path, content: bytes) -> None:
    path = tile_cache.write(KEY, RECORD, tmp_path)
    assert path is not None
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=f"{path.name} is illegible"):
        assert tile_cache.read(KEY, tmp_path) is None
    with pytest.warns(UserWarning, match="illegible"):
        assert list(tile_cache.entries(tmp_path)) == []
    tile_cache.write(KEY, RECORD, tmp_path)
    assert tile_cache.read(KEY, tmp_path) == RECORD


def test_what_cannot_be_written_is_lost_with_a_warning(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.warns(UserWarning, match="not kept: cannot write"):
        assert tile_cache.write(KEY, RECORD, blocked) is None
    with pytest.warns(UserWarning, match="illegible"):
        assert tile_cache.read(KEY, blocked) is None  # NotADirectoryError


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tile_cache.write(KEY, RECORD, tmp_path)

    def fails(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.warns(UserWarning, match="disk full"):
        assert tile_cache.write(KEY, RECORD | {"keys": 64}, tmp_path) is None
    assert tile_cache.read(KEY, tmp_path) == RECORD
    assert len(list(tmp_path.iterdir())) == 1


def test_the_folder_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert tile_cache.cache_folder() == tmp_path / "xdg" / "minillm" / "tiles"
    for unusable in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", unusable)
        assert tile_cache.cache_folder() == tmp_path / ".cache" / "minillm" / "tiles"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert tile_cache.cache_folder() == tmp_path / "Library" / "Caches" / "minillm" / "tiles"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert tile_cache.cache_folder() == tmp_path / "local" / "minillm" / "tiles"


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """As it would be on one, with an empty cache."""
    machine = {"gpu": "NVIDIA H200", "triton": "3.6.0", "kernel": "0123456789abcdef"}
    monkeypatch.setattr(tiles_module, "machine_key", lambda _: machine)
    monkeypatch.setattr(tiles_module, "gpu_of", lambda _: Gpu(132, 227 * 1024))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tuned_tiles.cache_clear()
    yield
    tuned_tiles.cache_clear()


@pytest.mark.usefixtures("on_a_gpu")
def test_tuned_tiles_come_from_the_cache() -> None:
    assert tuned_tiles("decode", SHAPE, CUDA) is None
    tile_cache.write(tile_key("decode", SHAPE, CUDA), RECORD, tile_cache.cache_folder())
    assert tuned_tiles("decode", SHAPE, CUDA) is None  # asked once a process
    tuned_tiles.cache_clear()
    assert tuned_tiles("decode", SHAPE, CUDA) == Tiles(16, 4, 32, 4, 3, 132)
    assert tuned_tiles("prefill", SHAPE, CUDA) is None


@pytest.mark.usefixtures("on_a_gpu")
@pytest.mark.parametrize(
    "wrong",
    [
        {"keys": "many"},
        {"keys": 48},
        {"keys": 8},
        {"block_m": 0},
        {"num_warps": 3},
        {"num_stages": 10**6},
    ],
    ids=str,
)
def test_a_record_of_impossible_tiles_is_ignored_with_a_warning(wrong: dict[str, object]) -> None:
    key = tile_key("decode", SHAPE, CUDA)
    tile_cache.write(key, RECORD | wrong, tile_cache.cache_folder())
    with pytest.warns(UserWarning, match="tuned tiles ignored"):
        assert tuned_tiles("decode", SHAPE, CUDA) is None
