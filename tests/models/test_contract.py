"""The limits that all parts agree on: what they allow, how they read, and that nothing else states them."""

import ast
import re
from pathlib import Path

import pytest

from lutfuse.models.contract import DEFAULT_LUT_SIZE, EXPOSURES, LUT_SIZES, Limits

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("pipeline", "transforms") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        (2, True),
        (9, True),
        (2.0, True),
        (5.5, True),
        (1, False),
        (10, False),
        (1.999, False),
        (-3, False),
        (float("nan"), False),
        (float("inf"), False),
        (float("-inf"), False),
    ],
)
def test_both_ends_are_allowed_and_nan_never_is(value, allowed):
    assert Limits(2, 9).allow(value) is allowed


def test_limits_read_as_words_and_unpack_as_two_numbers():
    assert str(Limits(2, 9)) == f"{Limits(2, 9)}" == "2 to 9"
    low, high = Limits(2, 9)
    assert (low, high) == (2, 9)


def test_the_default_size_of_a_lut_is_allowed():
    assert LUT_SIZES.allow(DEFAULT_LUT_SIZE)


def stated_again(source):
    """Lines of `source` that state a size of a LUT or the number of exposures as a literal."""
    sizes = {LUT_SIZES.high, DEFAULT_LUT_SIZE}
    words = re.compile(
        rf"\b({'|'.join(map(str, sizes))}|{EXPOSURES.low} ?(to|…|-|–|\.\.) ?{EXPOSURES.high})\b"
    )
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Tuple):
            if [getattr(item, "value", None) for item in node.elts] == list(EXPOSURES):
                yield node.lineno
        elif isinstance(node, ast.Constant):
            literal = node.value
            text = isinstance(literal, str) and words.search(literal)
            if text or (type(literal) is int and literal in sizes):
                yield node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_limit_of_the_contract_is_stated_again(path):
    assert list(stated_again(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    ["limit = 129", "size: int = 33", "x = (2, 9)", "help = f'{n}, 2 to 9 images'", "'''2..129.'''", "'2…9'"],
)
def test_a_limit_that_is_stated_again_is_found(source):
    assert list(stated_again(source)) == [1]
