"""The header of a `.cube` file: its keywords in both dialects, and the rules they keep."""

import io
import re

import numpy as np

from lutfuse.models.contract import LUT_SIZES

_MAX_LINE = 4096  # characters of a header line that is read; longer means this is no header

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TITLE = re.compile(r'TITLE\s+"([^"]*)"')
_REFUSED = {
    "LUT_1D_SIZE": "holds a 1D LUT or shaper; bake it into a 3D LUT, as ociobakelut does",
    "LUT_1D_INPUT_RANGE": "holds a 1D shaper; bake it into a 3D LUT, as ociobakelut does",
    "LUT_IN_VIDEO_RANGE": "expects video range; export it for full range (data levels)",
    "LUT_OUT_VIDEO_RANGE": "produces video range; export it for full range (data levels)",
}


class CubeError(ValueError):
    """A `.cube` that cannot be read or written: file, line, rule and remedy."""


def cube_error(name: str, line: int | None, rule: str, remedy: str) -> CubeError:
    """The one form of every message about a file."""
    where = name if line is None else f"{name}, line {line}"
    return CubeError(f"{where}: {rule}; {remedy}")


class Header:
    """The keywords before the table, each checked as it comes."""

    def __init__(self, name: str) -> None:
        self.name, self.line, self.size = name, 0, 0
        self.title: str | None = None
        self.comments: list[str] = []
        self.seen: set[str] = set()
        self.low, self.high = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def fail(self, rule: str, remedy: str) -> CubeError:
        return cube_error(self.name, self.line, rule, remedy)

    def take(self, text: str) -> bool:
        """Consume one header line, stripped; False when it is the first row of the table."""
        if not text:
            return True
        if text.startswith("#"):
            self.comments.append(text[1:].strip())
            return True
        keyword, *values = text.split()
        if is_number(keyword):
            return False
        if keyword in self.seen:
            raise self.fail(f"{keyword} is given twice", "keep one of them")
        self.seen.add(keyword)
        self._keyword(keyword, values, text)
        return True

    def _keyword(self, keyword: str, values: list[str], text: str) -> None:
        if keyword == "TITLE":
            self.title = self._title(text)
        elif keyword == "LUT_3D_SIZE":
            self.size = self._size(values)
        elif keyword == "DOMAIN_MIN":
            self.low = self._triple(keyword, values)
        elif keyword == "DOMAIN_MAX":
            self.high = self._triple(keyword, values)
        elif keyword == "LUT_3D_INPUT_RANGE":
            low, high = self._numbers(keyword, values, 2)
            self.low, self.high = (low,) * 3, (high,) * 3
        elif keyword in _REFUSED:
            raise self.fail(f"{keyword}: only plain 3D LUTs are read", f"this file {_REFUSED[keyword]}")
        else:
            raise self.fail(
                f"unknown keyword {keyword[:40]!r}", "Cube 1.0 has none of that name; is this a .cube?"
            )

    def _title(self, text: str) -> str:
        match = _TITLE.fullmatch(text)
        if match is None:
            raise self.fail("TITLE takes one text in double quotes", 'write TITLE "my look"')
        return match[1]

    def _size(self, values: list[str]) -> int:
        if len(values) != 1 or not re.fullmatch(r"[0-9]{1,9}", values[0]):
            raise self.fail(
                f"LUT_3D_SIZE {' '.join(values)[:40]!r} is not one whole number", "write LUT_3D_SIZE 33"
            )
        size = int(values[0])
        if not LUT_SIZES.allow(size):
            rule = f"LUT_3D_SIZE {size} is outside {LUT_SIZES.low}..{LUT_SIZES.high}"
            raise self.fail(rule, "export the LUT at 17, 33 or 65 points")
        return size

    def _numbers(self, keyword: str, values: list[str], count: int) -> list[float]:
        numbers = [float(v) for v in values if is_number(v)]
        if len(values) != count or len(numbers) != count or not np.isfinite(numbers).all():
            raise self.fail(f"{keyword} takes {count} finite numbers", f"found {' '.join(values)[:60]!r}")
        return numbers

    def _triple(self, keyword: str, values: list[str]) -> tuple[float, float, float]:
        r, g, b = self._numbers(keyword, values, 3)
        return r, g, b

    def check(self) -> None:
        """The rules that need the whole header; the current line is the first row or the last line."""
        if not self.size:
            raise self.fail("LUT_3D_SIZE must come before the table", "add it, as in LUT_3D_SIZE 33")
        if "LUT_3D_INPUT_RANGE" in self.seen and self.seen & {"DOMAIN_MIN", "DOMAIN_MAX"}:
            raise self.fail("LUT_3D_INPUT_RANGE and DOMAIN_MIN/MAX exclude each other", "keep one of them")
        if any(high <= low for low, high in zip(self.low, self.high, strict=True)):
            rule = f"the domain {self.low} to {self.high} is empty"
            raise self.fail(rule, "each maximum must exceed its minimum")


def is_number(token: str) -> bool:
    """Whether a token reads as a number; NaN and infinities count, to be refused as values, not as words."""
    return bool(_NUMBER.fullmatch(token)) or token.lower().lstrip("+-") in {"nan", "inf", "infinity"}


def read_header(lines: io.TextIOWrapper, name: str) -> tuple[Header, str]:
    """The header and the first row of the table, which had to be read to see where the header ends."""
    header = Header(name)
    while text := lines.readline(_MAX_LINE + 1):
        header.line += 1
        if len(text) > _MAX_LINE:
            raise header.fail(f"a line longer than {_MAX_LINE} characters", "is this a .cube file?")
        if not header.take(text.strip()):
            header.check()
            return header, text
    header.check()
    return header, ""
