"""Argument types and common options: each refusal names value, rule and remedy."""

import argparse
import re

import pytest

from lutfuse.models.contract import DEFAULT_LUT_SIZE, LUT_SIZES
from lutfuse.pipeline import arguments
from lutfuse.pipeline.arguments import (
    UsageError,
    command_parser,
    fraction,
    lut_size,
    positive,
    whole_number,
)


@pytest.fixture
def parser():
    parser = command_parser("some", description="First line\nand second.", epilog="  kept\n  as it is")
    parser.add_argument("--number", type=whole_number(2, 9))
    return parser


def test_wrong_arguments_are_usage_errors_that_point_to_the_help(parser):
    for argv in (["--number", "x"], ["--none"], ["stray"], ["--number"]):
        with pytest.raises(UsageError, match=r"; see 'lutfuse some --help'$"):
            parser.parse_args(argv)


def test_options_are_never_abbreviated_and_texts_keep_their_lines(parser):
    with pytest.raises(UsageError, match="unrecognized arguments: --num"):
        parser.parse_args(["--num", "5"])
    assert "First line\nand second." in parser.format_help()
    assert "  kept\n  as it is" in parser.format_help()


def test_values_within_the_limits_are_parsed():
    assert [whole_number(2, 9)(text) for text in ("2", "9", " 5 ")] == [2, 9, 5]
    assert [positive(text) for text in ("0.5", "1e9")] == [0.5, 1e9]
    assert [fraction(text) for text in ("0", "0.5", "1")] == [0.0, 0.5, 1.0]
    assert [lut_size(str(size)) for size in LUT_SIZES] == list(LUT_SIZES)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (whole_number(2, 9), "1", "1 is out of range; choose 2 to 9"),
        (whole_number(2, 9), "10", "10 is out of range; choose 2 to 9"),
        (whole_number(2, 9), "3.5", "'3.5' is not a whole number"),
        (whole_number(2, 9), "", "'' is not a whole number"),
        (positive, "0", "0 is out of range; give a number above 0"),
        (positive, "-1", "-1 is out of range; give a number above 0"),
        (positive, "nan", "nan is out of range; give a number above 0"),
        (positive, "inf", "inf is out of range; give a number above 0"),
        (positive, "many", "'many' is not a number"),
        (fraction, "-0.1", "-0.1 is out of range; give 0 to 1"),
        (fraction, "1.1", "1.1 is out of range; give 0 to 1"),
        (fraction, "nan", "nan is out of range; give 0 to 1"),
        (fraction, "x", "'x' is not a number"),
    ],
)
def test_values_outside_the_limits_are_refused(kind, text, message):
    with pytest.raises(argparse.ArgumentTypeError, match=f"^{re.escape(message)}$"):
        kind(text)


@pytest.mark.parametrize("size", [LUT_SIZES.low - 1, LUT_SIZES.high + 1])
def test_a_lut_size_outside_the_limits_is_refused_with_the_reason(size):
    message = f"choose {LUT_SIZES} .a LUT of {LUT_SIZES.high} has 2.1 million nodes, and OpenColorIO"
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        lut_size(str(size))


def test_common_options_have_the_defaults_of_their_help(parser):
    arguments.add_lut_size(parser)
    arguments.add_reference(parser)
    arguments.add_weights(parser)
    arguments.add_device(parser, "what computes")
    arguments.add_scene_size(parser)
    args = parser.parse_args([])
    assert (args.lut_size, args.reference, args.weights) == (DEFAULT_LUT_SIZE, "reference", None)
    assert (args.device, args.width, args.height) == ("auto", 3840, 2160)
    text = " ".join(parser.format_help().split())
    assert f"3D LUT, {LUT_SIZES} (default: {DEFAULT_LUT_SIZE})" in text
    assert "what computes (default: auto)" in text
    with pytest.raises(UsageError, match="--width: 15 is out of range"):
        parser.parse_args(["--width", "15"])
