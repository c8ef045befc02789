"""The two tables that a job writes: one row per fused bracket, one per failed bracket.

Beam's Parquet writer silently fills missing columns with nulls and drops unknown ones, so rows are checked
against the schema first.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.pvalue import PCollection

from lutfuse.transforms.storage import files
from lutfuse.transforms.storage.on_disk import Column

Row = dict[str, Any]

ROWS_PER_GROUP = 10_000  # in a row group of a Parquet file: some MB

STAGES = ("read", "decode", "student", "bake", "fuse", "metrics", "encode", "write")
TIMINGS = (*(f"{stage}_ms" for stage in STAGES), "total_ms")
NUMBERS = ("psnr_db", "ssim", "mef_ssim", *TIMINGS)  # columns whose medians the summary shows
FAILURES_SHOWN = 10
# Columns that `account` needs; the others of a million rows are 300 MB of URIs.
METRICS_ACCOUNTED, FAILURES_ACCOUNTED = ["model", *NUMBERS], ["group_id", "stage", "message"]

# Nullable: psnr_db and ssim without a reference, scores of images smaller than their window, and timings,
# device and worker of a bracket that an earlier run fused.
METRICS_SCHEMA = pa.schema(
    [
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("input_uris", pa.list_(pa.string()), nullable=False),
        pa.field("output_uri", pa.string(), nullable=False),
        pa.field("n_exposures", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("bit_depth", pa.int32(), nullable=False),
        pa.field("lut_size", pa.int32(), nullable=False),
        pa.field("look", pa.string()),
        pa.field("model", pa.string(), nullable=False),
        pa.field("device", pa.string()),
        pa.field("psnr_db", pa.float64()),
        pa.field("ssim", pa.float64()),
        pa.field("mef_ssim", pa.float64()),
        pa.field("clipped_low", pa.float64(), nullable=False),
        pa.field("clipped_high", pa.float64(), nullable=False),
        *(pa.field(name, pa.float64()) for name in TIMINGS),
        pa.field("bytes_in", pa.int64(), nullable=False),
        pa.field("bytes_out", pa.int64(), nullable=False),
        pa.field("worker", pa.string()),
    ]
)

FAILURES_SCHEMA = pa.schema(
    [
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("input_uris", pa.list_(pa.string()), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("error_type", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
    ]
)


class _ColumnCheck(NamedTuple):
    name: str
    kind: pa.DataType
    nullable: bool
    is_plain: Callable[[Any], bool]  # true only of values that fit for certain


def check_row(row: Row, schema: pa.Schema) -> Row:
    """Return `row` if it has exactly the columns and types of `schema`.

    Raises:
      ValueError: a column is missing, unknown, or null where it must not be.
      TypeError: a value is of the wrong type.
    """
    names, columns = _checks(schema)
    if row.keys() != names:
        missing, extra = sorted(names - row.keys()), sorted(row.keys() - names)
        raise ValueError(f"row has missing columns {missing} and unknown columns {extra}")
    for name, kind, nullable, is_plain in columns:
        value = row[name]
        if value is None:
            if not nullable:
                raise ValueError(f"{name} is null; the schema requires a value")
        elif not is_plain(value) and not _fits(value, kind):
            raise TypeError(f"{name} is {value!r}; the schema wants {kind}")
    return row


_checks_by_schema: dict[int, tuple[pa.Schema, set[str], list[_ColumnCheck]]] = {}


def _checks(schema: pa.Schema) -> tuple[set[str], list[_ColumnCheck]]:
    # Keyed by id, as Arrow takes longer to hash a schema than to check a row. The dictionary keeps the schema
    # alive, so no other can get its id.
    if id(schema) not in _checks_by_schema:
        columns = [_ColumnCheck(f.name, f.type, f.nullable, _plain(f.type)) for f in schema]
        _checks_by_schema[id(schema)] = (schema, set(schema.names), columns)
    return _checks_by_schema[id(schema)][1:]


def _plain(kind: pa.DataType) -> Callable[[Any], bool]:
    """A fast test for the usual values; all others are checked by Arrow, which takes 2 usec each."""
    if pa.types.is_list(kind):
        return lambda value: type(value) is list and all(type(v) is str and v.isascii() for v in value)
    if pa.types.is_string(kind):
        return lambda value: type(value) is str and value.isascii()
    if pa.types.is_floating(kind):
        return lambda value: type(value) is float
    return lambda value: type(value) is int and -(2**31) <= value < 2**31


def _fits(value: object, kind: pa.DataType) -> bool:
    if isinstance(value, str) and pa.types.is_list(kind):
        return False  # Arrow would convert it to a list of characters.
    try:
        scalar = pa.scalar(value, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeError):
        return False
    # Arrow silently truncates 0.5 to an integer.
    return not pa.types.is_integer(kind) or bool(scalar.as_py() == value)


def failure_row(group_id: str, uris: Iterable[str], stage: str, error_type: str, message: str) -> Row:
    """A row of the failures table; text that is not valid Unicode is escaped."""
    texts = {"group_id": group_id, "stage": stage, "error_type": error_type, "message": message}
    row: Row = {name: printable(text) for name, text in texts.items()}
    row["input_uris"] = [printable(uri) for uri in uris]
    return row


def printable(text: str) -> str:
    """`text` with lone surrogates (of file names that are not UTF-8) escaped, for Parquet."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class WriteRows(beam.PTransform):  # type: ignore[type-arg]
    """Checks rows and writes them as `PREFIX-00000-of-0000N.parquet`, once all rows are there."""

    def __init__(self, prefix: str, schema: pa.Schema, shards: int) -> None:
        super().__init__()
        self.prefix, self.schema, self.shards = prefix, schema, shards

    def expand(self, rows: PCollection[Row]) -> PCollection[str]:
        # WriteToParquet makes a row group of each bundle, and bundles are small: with a million rows, the
        # footers would be larger than the rows. So the rows of a shard are grouped first.
        tables = (
            rows
            | "Check" >> beam.Map(check_row, self.schema)
            | "Spread" >> beam.Map(spread, self.schema.names, self.shards)
            | "Together" >> beam.GroupByKey()
            | "ToTables" >> beam.FlatMap(to_tables, self.schema)
        )
        written: PCollection[str] = tables | "Write" >> beam.io.WriteToParquetBatched(
            self.prefix, self.schema, codec="zstd", file_name_suffix=".parquet", num_shards=self.shards
        )
        return written


def spread(row: Row, names: list[str], shards: int) -> tuple[int, tuple[Any, ...]]:
    """(random shard, values of the row); the column names would be half of the element's size."""
    return random.randrange(shards), tuple(row[name] for name in names)  # noqa: S311


def to_tables(shard: tuple[int, Iterable[tuple[Any, ...]]], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a shard as tables of `ROWS_PER_GROUP` rows; the last may have fewer."""
    remaining = iter(shard[1])
    while chunk := list(itertools.islice(remaining, ROWS_PER_GROUP)):
        columns = zip(*chunk, strict=True)
        yield pa.table(
            [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema
        )


def shards(prefix: str) -> list[str]:
    """URIs of the Parquet files that `WriteRows(prefix, …)` wrote."""
    # Not by a glob: a folder name may contain wildcard characters.
    folder = files.parent(prefix)
    return [
        uri
        for uri in files.list_files(folder)
        if uri.startswith(f"{prefix}-") and uri.endswith(".parquet") and files.parent(uri) == folder
    ]


def read_rows(prefix: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows that `WriteRows(prefix, …)` wrote, in batches; all columns, or only `columns`."""
    for uri in shards(prefix):
        with files.opened(uri) as file:
            yield from pq.ParquetFile(file).iter_batches(ROWS_PER_GROUP, columns=columns)


@dataclass
class Account:
    """Summary of the two tables of a job; takes little memory, however many rows there are.

    Attributes:
      fused: number of rows in the metrics table.
      recovered: how many of these an earlier run fused.
      models: identifiers of the models that fused them.
      numbers: the columns of NUMBERS.
      failed: number of rows in the failures table.
      first_failures: the first FAILURES_SHOWN of these.
    """

    fused: int = 0
    recovered: int = 0
    models: set[str] = field(default_factory=set)
    numbers: dict[str, Column] = field(default_factory=lambda: {name: Column() for name in NUMBERS})
    failed: int = 0
    first_failures: list[Row] = field(default_factory=list)


def account(metrics: Iterable[pa.RecordBatch], failures: Iterable[pa.RecordBatch]) -> Account:
    """Counts and medians of both tables; only METRICS_ACCOUNTED and FAILURES_ACCOUNTED are read."""
    found = Account()
    for batch in metrics:
        found.fused += batch.num_rows
        found.recovered += batch["total_ms"].null_count
        found.models.update(batch["model"].unique().to_pylist())
        for name, numbers in found.numbers.items():
            numbers.add(batch[name].drop_null().to_numpy())
    for batch in failures:
        found.failed += batch.num_rows
        wanted = FAILURES_SHOWN - len(found.first_failures)
        found.first_failures += batch.slice(0, wanted).to_pylist()
    return found
