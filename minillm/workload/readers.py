"""Reading published traces: one function per format, each returning a workload.

Arrivals are seconds from the first request of the file. A row that cannot be understood raises
`TraceFileError` with its line number. So does a row of no prompt or no output tokens, which is
how some traces write a failed request; `skip_empty=True` leaves such rows out and warns of how
many there were.
"""

from __future__ import annotations

import csv
import json
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from minillm.workload.spec import RequestSpec

Path = str | os.PathLike[str]
Row = tuple[int, Mapping[str, Any]]  # line number, fields


class TraceFileError(ValueError):
    """A trace file that cannot be read; the message names file, line and reason."""


def read_azure(path: Path, *, skip_empty: bool = False) -> list[RequestSpec]:
    """Azure LLM inference traces (2023, 2024): TIMESTAMP, ContextTokens, GeneratedTokens."""

    def spec(row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "arrival_time": _timestamp(row["TIMESTAMP"]),
            "prompt_len": int(row["ContextTokens"]),
            "output_len": int(row["GeneratedTokens"]),
        }

    return _read(path, _csv_rows, spec, skip_empty)


def read_burstgpt(path: Path, *, skip_empty: bool = False) -> list[RequestSpec]:
    """BurstGPT: Timestamp in seconds, Request tokens, Response tokens; the client is the session
    where the file has one, else the model asked for."""

    def spec(row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "arrival_time": float(row["Timestamp"]),
            "prompt_len": int(row["Request tokens"]),
            "output_len": int(row["Response tokens"]),
            "client": row.get("Session ID") or row["Model"],
        }

    return _read(path, _csv_rows, spec, skip_empty)


def read_vidur(path: Path, *, skip_empty: bool = False) -> list[RequestSpec]:
    """Vidur: arrived_at in seconds, num_prefill_tokens, num_decode_tokens."""

    def spec(row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "arrival_time": float(row["arrived_at"]),
            "prompt_len": int(row["num_prefill_tokens"]),
            "output_len": int(row["num_decode_tokens"]),
        }

    return _read(path, _csv_rows, spec, skip_empty)


def read_splitwise(path: Path, *, skip_empty: bool = False) -> list[RequestSpec]:
    """splitwise-sim: arrival_timestamp in seconds, prompt_size, token_size; the client is the
    application."""

    def spec(row: Mapping[str, Any]) -> dict[str, Any]:
        if int(row["batch_size"]) != 1:
            raise ValueError(f"batch_size {row['batch_size']} is not 1")
        return {
            "arrival_time": float(row["arrival_timestamp"]),
            "prompt_len": int(row["prompt_size"]),
            "output_len": int(row["token_size"]),
            "client": str(row["application_id"]),
        }

    return _read(path, _csv_rows, spec, skip_empty)


def read_mooncake(path: Path, *, skip_empty: bool = False) -> list[RequestSpec]:
    """Mooncake: JSON lines of timestamp in ms, input_length, output_length, and the hash_ids of
    the prompt's 512-token blocks, equal where the content is."""

    def spec(row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "arrival_time": float(row["timestamp"]) / 1e3,
            "prompt_len": _whole(row["input_length"]),
            "output_len": _whole(row["output_length"]),
            "hash_ids": tuple(_whole(value) for value in row["hash_ids"]),
        }

    return _read(path, _json_rows, spec, skip_empty)


def read_sharegpt(
    path: Path, count_tokens: Callable[[str], int], *, skip_empty: bool = False
) -> list[RequestSpec]:
    """ShareGPT: a JSON list of conversations. As in the papers a request is the first question of
    one and its answer, measured by `count_tokens`; all arrive at 0. A conversation that does not
    begin with the two counts as empty. In errors a line is the number of the conversation."""

    def spec(row: Mapping[str, Any]) -> dict[str, Any]:
        turns = row["conversations"]
        lengths = [count_tokens(turn["value"]) for turn in turns[:2]]
        prompt_len, output_len = (*lengths, 0, 0)[:2]
        return {"arrival_time": 0.0, "prompt_len": prompt_len, "output_len": output_len}

    return _read(path, _json_list, spec, skip_empty)


READERS: dict[str, Callable[..., list[RequestSpec]]] = {
    "azure": read_azure,
    "burstgpt": read_burstgpt,
    "mooncake": read_mooncake,
    "vidur": read_vidur,
    "splitwise": read_splitwise,
}


def read_custom(path: Path, output_tokens: int) -> list[RequestSpec]:
    """`vllm bench serve`'s texts of one's own: JSON lines with `prompt` and, where known,
    `output_tokens` (default: those given here), of which the model may write fewer."""
    requests = []
    for number, row in _json_rows(path):
        with _told(path, number):
            prompt = [{"role": "user", "content": row["prompt"]}]
            most = row.get("output_tokens", output_tokens)
            requests.append(RequestSpec(prompt=prompt, max_tokens=most))
    return requests


def _read(
    path: Path,
    rows: Callable[[Path], Iterator[Row]],
    spec: Callable[[Mapping[str, Any]], dict[str, Any]],
    skip_empty: bool,
) -> list[RequestSpec]:
    found: list[tuple[int, dict[str, Any]]] = []
    empty: list[int] = []
    for line, row in rows(path):
        with _told(path, line):
            fields = spec(row)
            if not math.isfinite(fields["arrival_time"]):
                raise ValueError(f"arrival {fields['arrival_time']} is no time")
            if fields["prompt_len"] < 0 or fields["output_len"] < 0:
                raise ValueError("a number of tokens is negative")
            if fields["prompt_len"] == 0 or fields["output_len"] == 0:
                if not skip_empty:
                    raise ValueError("no prompt or no output tokens (skip_empty=True skips these)")
                empty.append(line)
                continue
        found.append((line, fields))
    if empty:
        warnings.warn(
            f"{path}: {len(empty):,} requests without prompt or output tokens are left out, the "
            f"first in line {empty[0]:,}; {len(found):,} are kept",
            stacklevel=3,
        )
    start = min((fields["arrival_time"] for _, fields in found), default=0.0)
    workload = []
    for line, fields in found:
        with _told(path, line):
            arrival = fields.pop("arrival_time") - start
            workload.append(RequestSpec(arrival_time=arrival, **fields))
    return workload


@contextmanager
def _told(path: Path, line: int) -> Iterator[None]:
    """Say of any mistake in a row where it is."""
    try:
        yield
    except KeyError as error:
        raise TraceFileError(f"{path} line {line}: there is no field {error}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise TraceFileError(f"{path} line {line}: {error}") from None


def _csv_rows(path: Path) -> Iterator[Row]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, restkey="(more)", skipinitialspace=True)
        for row in reader:
            with _told(path, reader.line_num):
                if None in row.values():
                    raise ValueError(f"a field is missing: {[v for v in row.values() if v]}")
                if "(more)" in row:
                    raise ValueError(f"fields too many: {row['(more)']}")
            yield reader.line_num, row


def _json_rows(path: Path) -> Iterator[Row]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                with _told(path, number):
                    row = json.loads(line)
                yield number, row


def _json_list(path: Path) -> Iterator[Row]:
    with open(path, encoding="utf-8") as file, _told(path, 1):
        rows = json.load(file)
        if not isinstance(rows, list):
            raise ValueError("the file is not a JSON list")
    yield from enumerate(rows, start=1)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is not a whole number")
    return value


def _timestamp(text: str) -> float:
    """Seconds since 2020 of "2023-11-16 18:17:03.9799600", read as UTC. All digits count; a nearer
    beginning than 1970 leaves a float room for them."""
    whole, _, fraction = text.removesuffix("+00:00").partition(".")
    seconds = (datetime.fromisoformat(whole) - datetime(2020, 1, 1)).total_seconds()
    return seconds + (float(f"0.{fraction}") if fraction else 0.0)
