"""Scores of fused images, and tables of them."""

import csv
import io
import math
import statistics
from collections.abc import Callable, Sequence

from lutfuse.models.contract import U8
from lutfuse.models.metrics.colour import colour_difference
from lutfuse.models.metrics.pixels import clipped_shares, psnr
from lutfuse.models.metrics.structure import mef_ssim, mef_ssim_c, ssim

SCORES = {
    "psnr_db": 2, "ssim": 4, "mef_ssim": 4, "mef_ssim_c": 4, "ciede2000": 2,
    "clipped_low": 4, "clipped_high": 4, "msec": 1,
}  # name: decimals  # fmt: skip

Row = dict[str, str | int | float | None]


def score(name: str, method: str, frames: list[U8], reference: U8 | None, image: U8, msec: float) -> Row:
    """One line of the table; what cannot be measured on this bracket is None."""
    low, high = clipped_shares(image)
    values: dict[str, float | None] = {
        "mef_ssim": _measured(lambda: mef_ssim(frames, image)),
        "mef_ssim_c": _measured(lambda: mef_ssim_c(frames, image)),
        "clipped_low": low,
        "clipped_high": high,
        "msec": msec,
    }
    if reference is not None:
        values |= {
            "psnr_db": _measured(lambda: psnr(image, reference)),
            "ssim": _measured(lambda: ssim(image, reference)),
            "ciede2000": _measured(lambda: colour_difference(image, reference)),
        }
    row: Row = {"bracket": name, "method": method, "frames": len(frames)}
    return row | {key: _rounded(values.get(key), decimals) for key, decimals in SCORES.items()}


def _measured(metric: Callable[[], float]) -> float | None:
    """None where the images are too small for the metric's window."""
    try:
        return metric()
    except ValueError:
        return None


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, decimals)


def summary(rows: Sequence[Row]) -> list[Row]:
    """Per method the mean of every score over the brackets that have it; of msec the median."""
    result: list[Row] = []
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        line: Row = {"bracket": f"mean of {len(mine)}", "method": method, "frames": None}
        for key, decimals in SCORES.items():
            values = [value for row in mine if isinstance(value := row[key], float)]
            middle = statistics.median if key == "msec" else statistics.fmean
            line[key] = _rounded(middle(values), decimals) if values else None
        result.append(line)
    return result


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV under the keys of the first; what was not measured is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def to_markdown(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table under the keys of the first; what was not measured is a dash."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join("–" if v is None else str(v) for v in row.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"
