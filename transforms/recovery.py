"""The row stored in a fused image, from which a later run recovers a finished bracket."""

import json

from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.rows import METRICS_SCHEMA, TIMINGS, Row, check_row
from lutfuse.transforms.storage import files
from lutfuse.transforms.task import Task

# Columns that may differ between runs that give the same image.
CIRCUMSTANCES = {*TIMINGS, "output_uri", "bytes_out", "device", "worker"}
# The row is within this many bytes from the start of a fused image.
ROW_PREFIX_BYTES = 1 << 17


def pack_row(row: Row, task: Task) -> str:
    """The comment of a fused image: the columns of its row that are the same in every run."""
    kept = {k: v for k, v in row.items() if k not in CIRCUMSTANCES}
    return json.dumps({"lutfuse": 1, "config": task.config, "row": kept}, sort_keys=True)


def recover_row(task: Task) -> Row | None:
    """The row of the image that an earlier run wrote for the same task, or None.

    Raises:
      OSError: the storage failed.
    """
    try:
        start, size = files.read_start(task.output_uri, ROW_PREFIX_BYTES)
        packed = image_io.read_comment(start)
        document = json.loads(packed) if packed else {}
        if document.get("config") != task.config:
            return None
        row: Row = dict.fromkeys(METRICS_SCHEMA.names) | document["row"]
        row |= {"bytes_out": size, "output_uri": task.output_uri}
        return check_row(row, METRICS_SCHEMA)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # not written by lutfuse, or damaged: fused again and replaced
