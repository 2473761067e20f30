"""Rows of a sweep as a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from minillm.config import ConfigError


def write_parquet(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """One column per setting and figure; what a row does not have is null. Raises ConfigError
    where pyarrow is missing or `path` cannot be written."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError('Parquet needs pyarrow: pip install "minillm-lab[bench]"') from None
    rows = [{**row, "request_rate": float(row["request_rate"])} for row in rows]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None
