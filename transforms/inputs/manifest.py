"""Manifests: lists of brackets as `.jsonl`, `.csv` or `.parquet`."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import IO, Any

import pyarrow.parquet as pq

from lutfuse.transforms.inputs.brackets import Bracket, InputError
from lutfuse.transforms.storage import files

MANIFEST_SUFFIXES = (".jsonl", ".csv", ".parquet")
COLUMNS = ("group_id", "uris", "reference")
# Read in batches: a row group, which may have a million rows, would be in memory otherwise.
_BUFFER_BYTES, _ROWS = 1 << 20, 4096


def read_manifest(uri: str) -> Iterator[Bracket]:
    """Brackets of a `.jsonl`, `.csv` or `.parquet` manifest.

    Columns: `group_id`, `uris` (a list; in CSV separated by ';'), and optionally `reference`; others are
    ignored. Relative URIs start at the manifest's folder. An invalid line becomes a bracket with a problem.

    Raises:
      InputError: the file is not a manifest.
    """
    reader = {"jsonl": _jsonl_records, "csv": _csv_records, "parquet": _parquet_records}[
        uri.rpartition(".")[2].lower()
    ]
    base = files.parent(uri)
    # Streamed: a million brackets take hundreds of MB.
    with files.opened(uri) as file:
        try:
            for number, record in reader(file, uri):
                yield _bracket_of(record, number, base)
        except UnicodeDecodeError as error:
            raise InputError(f"--input {uri}: not UTF-8 text ({error}); save the manifest as UTF-8") from None


def _jsonl_records(file: IO[bytes], uri: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(io.TextIOWrapper(file, "utf-8-sig", newline="\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, f"not JSON ({error})"


def _csv_records(file: IO[bytes], uri: str) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(io.TextIOWrapper(file, "utf-8-sig", newline=""), strict=True)
    try:
        _require_columns(reader.fieldnames or [], uri)
        for record in reader:
            yield reader.line_num, {k: v for k, v in record.items() if v not in (None, "")}
    except csv.Error as error:
        raise InputError(
            f"--input {uri}: line {reader.line_num} is not CSV ({error}); fix or re-export it"
        ) from None


def _parquet_records(file: IO[bytes], uri: str) -> Iterator[tuple[int, Any]]:
    try:
        table = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES)
        names = table.schema_arrow.names
        _require_columns(names, uri)
        batches = table.iter_batches(_ROWS, columns=[name for name in COLUMNS if name in names])
        for number, row in enumerate((row for batch in batches for row in batch.to_pylist()), 1):
            yield number, {k: v for k, v in row.items() if v is not None}
    except InputError:
        raise
    except Exception as error:
        # pyarrow raises many types for damaged files, among them OSError and ArrowInvalid.
        raise InputError(f"--input {uri}: not a readable Parquet file ({error}); write it again") from None


def _require_columns(names: Iterable[str], uri: str) -> None:
    missing = {"group_id", "uris"} - set(names)
    if missing:
        raise InputError(
            f"--input {uri}: column(s) {', '.join(sorted(missing))} missing; a manifest has group_id and uris"
        )


def _bracket_of(record: Any, number: int, base: str) -> Bracket:
    name = f"line-{number}"
    if not isinstance(record, dict):
        return Bracket(
            name, (), problem=f"manifest line {number}: {record if isinstance(record, str) else 'no object'}"
        )
    if isinstance(record.get("group_id"), str):
        name = record["group_id"]
    try:
        return _parse_record(record, base)
    except (TypeError, ValueError) as error:
        return Bracket(name, (), problem=f"manifest line {number}: {error}")


def _parse_record(record: dict[str, Any], base: str) -> Bracket:
    group_id = record.get("group_id")
    if not isinstance(group_id, str):
        raise TypeError(f"group_id is {group_id!r}; it must be text")
    uris = tuple(_absolute(uri, base) for uri in _uris(record.get("uris")))
    reference = record.get("reference")
    if reference is not None and not isinstance(reference, str):
        raise TypeError(f"reference is {reference!r}; it must be a URI")
    return Bracket(group_id, uris, _absolute(reference, base) if reference else None)


def _uris(value: Any) -> list[str]:
    if isinstance(value, str):
        value = (
            json.loads(value) if value.startswith("[") else [v.strip() for v in value.split(";") if v.strip()]
        )
    if not isinstance(value, list):
        raise TypeError(f"uris is {value!r}; it must be a list")
    if not all(isinstance(v, str) and v and "\0" not in v for v in value):
        raise TypeError(f"uris is {value!r}; every entry must be a path or URI")
    return value


def _absolute(uri: str, base: str) -> str:
    rooted = uri.startswith("/") or not files.is_local(uri)
    return uri if rooted or not base else files.join(base, uri)
