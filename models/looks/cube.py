"""Adobe Cube 1.0: the text form of a 3D LUT that Resolve, Photoshop, OpenColorIO and ffmpeg exchange.

LUT arrays are [N, N, N, 3] float32 indexed `lut[b, g, r, channel]`: rows run red fastest in the file, so the
file is the array in C order. Both header dialects are read: Adobe's `DOMAIN_MIN`/`DOMAIN_MAX` and Resolve's
`LUT_3D_INPUT_RANGE`. What would change the meaning of the numbers (1D shapers, video range) is refused.

Note [strict, then explain]: the table goes through one fast parser that accepts nothing but three numbers a
row. Only when it refuses does a slow walk over the same lines look for the line to blame.
"""

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from lutfuse.models.contract import LUT_SIZES
from lutfuse.models.looks.cube_header import CubeError, cube_error, is_number, read_header

__all__ = ["MAX_BYTES", "MAX_TEXT", "Cube", "CubeError", "read_cube", "write_cube"]

MAX_BYTES = 256 * 2**20  # 129³ rows of three 40-character numbers; a caller may check before it reads
MAX_TEXT = 240  # bytes of a header text that is written: Cube 1.0 allows lines of 250
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Cube:
    """A 3D LUT with what its file says about it."""

    lut: NDArray[np.float32]  # [N, N, N, 3] (b, g, r, channel), finite, in or beyond [0, 1]; never changed
    title: str | None = None
    domain_min: tuple[float, float, float] = (0.0, 0.0, 0.0)  # input colour (r, g, b) of the first node
    domain_max: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of the last node
    comments: tuple[str, ...] = ()  # without the leading #; those before the table

    @cached_property
    def digest(self) -> str:
        """Hash of the colours, stable across machines; title and comments do not count."""
        ends = np.array([self.domain_min, self.domain_max], "<f8").tobytes()
        return hashlib.sha256(self.lut.astype("<f4").tobytes() + ends).hexdigest()[:16]


def _is_row(line: str) -> bool:
    """Whether a line of the table counts: comments and blank lines do not."""
    return not line.isspace() and not line.lstrip().startswith("#")


def _open(data: bytes) -> io.TextIOWrapper:
    # Any newline convention; a byte-order mark is dropped; BytesIO shares the bytes instead of copying them.
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig")


def _row_fault(line: str, tokens: list[str]) -> tuple[str, str] | None:
    """Rule and remedy of a line in the table that is not three finite numbers."""
    if not is_number(tokens[0]):
        return f"{tokens[0][:40]!r} stands inside the table", "move keywords before the first row"
    if len(tokens) != 3 or not all(map(is_number, tokens)):
        return "a row holds three numbers and nothing else", f"found {line.strip()[:60]!r}"
    if not all(abs(float(token)) <= _FLOAT32_MAX for token in tokens):
        return "NaN, infinite or beyond float32", "export the LUT again with finite values"
    return None


def _explain(data: bytes, first: int, size: int, name: str) -> CubeError:
    """Find the line that the fast parser or the row count stumbled on. See Note [strict, then explain]."""
    count, number = 0, 0
    for number, line in enumerate(_open(data), start=1):
        tokens = line.split()
        if number < first or not tokens or tokens[0].startswith("#"):
            continue
        if fault := _row_fault(line, tokens):
            return cube_error(name, number, *fault)
        count += 1
        if count > size**3:
            rule = f"more than the {size**3} rows that LUT_3D_SIZE {size} means"
            return cube_error(name, number, rule, "correct LUT_3D_SIZE or remove rows")
    rule = f"{count} rows where LUT_3D_SIZE {size} means {size**3}"
    return cube_error(name, number, rule, "the file is cut short or LUT_3D_SIZE is wrong")


def _read_table(lines: Iterable[str], size: int) -> NDArray[np.float32] | None:
    """[N³, 3] float32, or None when anything but N³ rows of three finite numbers is there."""
    count = size**3
    # One row more than wanted is enough to know that there are too many.
    rows = islice(filter(_is_row, lines), count + 1)
    try:
        table = np.loadtxt(rows, np.float32, comments=None, ndmin=2)
    except UnicodeDecodeError:  # a ValueError too, but not one of the table's
        raise
    except ValueError:
        return None
    return table if table.shape == (count, 3) and bool(np.isfinite(table).all()) else None


def read_cube(text_or_bytes: str | bytes, *, name: str) -> Cube:
    """Read a `.cube`, strictly.

    Args:
        text_or_bytes: the whole file; any newline convention, UTF-8 or ASCII, at most `MAX_BYTES`.
        name: the file's name, for messages.

    Returns:
        the LUT as written, with its domain; nothing is clipped or rescaled.

    Raises:
        CubeError: what line breaks which rule, and what to do about it.
    """
    data = text_or_bytes.encode(errors="surrogatepass") if isinstance(text_or_bytes, str) else text_or_bytes
    if len(data) > MAX_BYTES:
        remedy = f"no {LUT_SIZES.high}-point LUT needs that"
        raise cube_error(name, None, f"{len(data)} bytes exceed the limit of {MAX_BYTES}", remedy)
    if b"\0" in data:
        raise cube_error(name, None, "binary or UTF-16 data, not text", "save the LUT as plain-text .cube")
    try:
        with _open(data) as lines:
            header, first_row = read_header(lines, name)
            table = _read_table(chain([first_row], lines), header.size) if first_row else None
        if table is None:
            first = header.line if first_row else header.line + 1
            raise _explain(data, first, header.size, name)
    except UnicodeDecodeError as error:
        rule = f"not UTF-8 text ({error.reason} at byte {error.start})"
        raise cube_error(name, None, rule, "save the LUT as plain-text .cube") from error
    lut = table.reshape(header.size, header.size, header.size, 3)
    return Cube(lut, header.title, header.low, header.high, tuple(header.comments))


def _header_line(text: str, what: str) -> str:
    """Text that stays on its line and cannot be taken for anything else."""
    # splitlines, because readers differ in what ends a line (U+2028 for some).
    if len(text.splitlines()) > 1 or not all(c.isprintable() or c == "\t" for c in text):
        raise CubeError(f"{what} {text[:40]!r}: must be one line of printable text; remove line breaks")
    if len(text.encode()) > MAX_TEXT:
        raise CubeError(f"{what} {text[:40]!r}…: longer than {MAX_TEXT} bytes; shorten it")
    return text


def write_cube(lut: NDArray[np.floating], *, title: str | None = None, comments: Sequence[str] = ()) -> str:
    """Write a LUT on the unit domain; reading it back gives the same float32 values bit for bit.

    No `DOMAIN_*` lines are written: 0 to 1 is the default in both dialects, and some readers know only one.

    Args:
        lut: [N, N, N, 3] (b, g, r, channel), N in 2..129, finite. Above 65 many tools refuse; warning of that
            is the caller's.
        title: shown by grading tools; no double quotes.
        comments: lines of the header, without the leading #.
    """
    size = lut.shape[0] if lut.ndim else 0
    if lut.shape != (size, size, size, 3) or not LUT_SIZES.allow(size):
        rule = f"must be [N, N, N, 3] with N in {LUT_SIZES.low}..{LUT_SIZES.high}"
        raise CubeError(f"LUT of shape {list(lut.shape)}: {rule}; bake it at another size")
    values = lut.astype(np.float32).reshape(-1)
    if not np.isfinite(values).all():
        raise CubeError("LUT holds NaN or infinite nodes: a .cube cannot; bake it again")
    if title is not None and '"' in title:
        raise CubeError(f"title {title[:40]!r}: Cube 1.0 has no escape for a double quote; remove it")
    lines = [] if title is None else [f'TITLE "{_header_line(title, "title")}"']
    lines += [f"# {_header_line(comment, 'comment')}".rstrip() for comment in comments]
    lines += [f"LUT_3D_SIZE {size}", ""]
    return "\n".join(lines) + "\n" + _format_rows(values)


def _format_rows(values: NDArray[np.float32]) -> str:
    """[N³·3] float32 as N³ lines. Nine significant digits tell any two float32 apart."""
    block = 3 * 4096  # one format string per block: ten times faster than one per row
    parts = (values[i : i + block].tolist() for i in range(0, values.size, block))
    return "".join("%.9g %.9g %.9g\n" * (len(part) // 3) % tuple(part) for part in parts)
