"""`.cube` files: exact round trips, both dialects, other people's readers, an error for all else."""

import contextlib
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from lutfuse.models.looks import cube as cube_module
from lutfuse.models.looks.bake import sample_cube
from lutfuse.models.looks.cube import Cube, CubeError, read_cube, write_cube

ROWS_2 = "".join(f"{r} {g} {b}\n" for b in (0, 1) for g in (0, 1) for r in (0, 1))


def asymmetric(size):
    """A LUT that treats r, g and b differently everywhere: any swap of axes or channels shows."""
    grid = np.linspace(0, 1, size, dtype=np.float32)
    b, g, r = np.meshgrid(grid, grid, grid, indexing="ij")
    lut = np.stack([0.1 + 0.8 * r * r, 0.7 * g + 0.2 * r * b, 0.5 * b**3 + 0.3 * g], axis=-1)
    return lut.astype(np.float32)


def test_reading_what_was_written_gives_the_same_bits():
    lut = asymmetric(5)
    lut[0, 0, 0] = [np.nextafter(np.float32(0), np.float32(1)), -0.0, np.finfo(np.float32).max]
    cube = read_cube(write_cube(lut, title="Dusk", comments=["from a bracket", ""]), name="x.cube")
    np.testing.assert_array_equal(cube.lut.view(np.uint32), lut.view(np.uint32))
    assert (cube.title, cube.comments) == ("Dusk", ("from a bracket", ""))
    assert cube.domain_min == (0, 0, 0)
    assert cube.domain_max == (1, 1, 1)


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=30, derandomize=True, deadline=None)
def test_any_float32_bits_survive_the_round_trip(size, seed):
    bits = np.random.default_rng(seed).integers(0, 2**32, (size, size, size, 3), dtype=np.uint32)
    lut = np.where(np.isfinite(bits.view(np.float32)), bits.view(np.float32), np.float32(0.25))
    again = read_cube(write_cube(lut), name="x.cube").lut
    np.testing.assert_array_equal(again.view(np.uint32), lut.view(np.uint32))


@pytest.mark.parametrize("size", [2, 3, 17, 65])
def test_red_runs_fastest(size):
    text = write_cube(asymmetric(size))
    rows = [line.split() for line in text.splitlines() if line and line[0] in "0123456789"]
    assert len(rows) == size**3
    np.testing.assert_allclose(np.float32(rows[1]), asymmetric(size)[0, 0, 1], rtol=1e-6)


@pytest.mark.slow
def test_the_largest_size_is_read_in_seconds():
    text = write_cube(np.random.default_rng(0).random((129, 129, 129, 3), dtype=np.float32))
    start = time.perf_counter()
    assert read_cube(text, name="big.cube").lut.shape == (129, 129, 129, 3)
    assert time.perf_counter() - start < 30  # about 3 s on an idle core


def test_both_dialects_give_their_domain():
    adobe = f"LUT_3D_SIZE 2\nDOMAIN_MIN -1 0 0.5\nDOMAIN_MAX 1 2 4\n{ROWS_2}"
    cube = read_cube(adobe, name="a.cube")
    assert (cube.domain_min, cube.domain_max) == ((-1, 0, 0.5), (1, 2, 4))
    resolve = f'TITLE "r"\nLUT_3D_SIZE 2\nLUT_3D_INPUT_RANGE 0.0 2.0\n\n{ROWS_2}'
    assert read_cube(resolve, name="r.cube").domain_max == (2, 2, 2)


@pytest.mark.parametrize(
    "text",
    [
        f"# made by hand\n\nLUT_3D_SIZE 2\n{ROWS_2}",
        f"LUT_3D_SIZE 2\n{ROWS_2}".replace("\n", "\r\n"),
        f"LUT_3D_SIZE 2\n{ROWS_2}".replace("\n", "\r"),
        f"\ufeffLUT_3D_SIZE 2\n  # inside\n\n{ROWS_2}\n\n# after\n",
        f"LUT_3D_SIZE 2\n{ROWS_2}".replace(" ", "\t"),
        f'LUT_3D_SIZE 2\nTITLE "été"\n{ROWS_2}'.rstrip("\n"),
        f"LUT_3D_SIZE 2\n# between\n{ROWS_2}".replace("\n1 0 0", "\n# within the table\n+1.0e0 .0 0."),
    ],
)
def test_harmless_variants_are_read(text):
    assert read_cube(text.encode(), name="x.cube").lut[0, 0, 1].tolist() == [1, 0, 0]


BAD = {
    "no size": (ROWS_2, "line 1: LUT_3D_SIZE must come before the table"),
    "empty": ("", "line 0: LUT_3D_SIZE must come before"),
    "size only": ("LUT_3D_SIZE 2\n", "line 1: 0 rows where LUT_3D_SIZE 2 means 8"),
    "size after table": (f"{ROWS_2}LUT_3D_SIZE 2\n", "line 1: LUT_3D_SIZE must come before"),
    "too few rows": ("LUT_3D_SIZE 2\n" + ROWS_2[: 7 * 6], "line 8: 7 rows where LUT_3D_SIZE 2 means 8"),
    "too many rows": (f"LUT_3D_SIZE 2\n{ROWS_2}0 0 0\n", "line 10: more than the 8 rows"),
    "two numbers": (f"LUT_3D_SIZE 2\n0 0\n{ROWS_2}", "line 2: a row holds three numbers"),
    "four numbers": (f"LUT_3D_SIZE 2\n0 0 0 1\n{ROWS_2}", "line 2: a row holds three numbers"),
    "comma": (f"LUT_3D_SIZE 2\n0 0 0\n0,5 0 0\n{ROWS_2}", "line 3: '0,5' stands inside the table"),
    "trailing comment": (f"LUT_3D_SIZE 2\n0 0 # no\n{ROWS_2}", "line 2: a row holds three numbers"),
    "underscore": (f"LUT_3D_SIZE 2\n0 1_0 0\n{ROWS_2}", "line 2: a row holds three numbers"),
    "NaN": ("LUT_3D_SIZE 2\n" + ROWS_2.replace("1 1 1", "1 nan 1"), "line 9: NaN, infinite or beyond"),
    "NaN first": ("LUT_3D_SIZE 2\nnan 0 0\n" + ROWS_2[6:], "line 2: NaN, infinite or beyond"),
    "infinite": ("LUT_3D_SIZE 2\n" + ROWS_2.replace("1 1 1", "1 1 -inf"), "line 9: NaN, infinite or"),
    "overflow": ("LUT_3D_SIZE 2\n" + ROWS_2.replace("1 1 1", "1 1 1e39"), "line 9: NaN, infinite or"),
    "keyword in table": (f"LUT_3D_SIZE 2\n0 0 0\nDOMAIN_MIN 0 0 0\n{ROWS_2}", "line 3: 'DOMAIN_MIN' stands"),
    "size twice": (f"LUT_3D_SIZE 2\nLUT_3D_SIZE 2\n{ROWS_2}", "line 2: LUT_3D_SIZE is given twice"),
    "size one": ("LUT_3D_SIZE 1\n0 0 0\n", "line 1: LUT_3D_SIZE 1 is outside 2..129"),
    "size huge": (f"LUT_3D_SIZE 999999999\n{ROWS_2}", "line 1: LUT_3D_SIZE 999999999 is outside 2..129"),
    "size 130": (f"LUT_3D_SIZE 130\n{ROWS_2}", "export the LUT at 17, 33 or 65"),
    "size word": (f"LUT_3D_SIZE big\n{ROWS_2}", "line 1: LUT_3D_SIZE 'big' is not one whole number"),
    "size missing": (f"LUT_3D_SIZE\n{ROWS_2}", "line 1: LUT_3D_SIZE '' is not one whole number"),
    "1D": ("LUT_1D_SIZE 2\n0 0 0\n1 1 1\n", "line 1: LUT_1D_SIZE: only plain 3D LUTs are read"),
    "shaper": (f"LUT_3D_SIZE 2\nLUT_1D_INPUT_RANGE 0 1\n{ROWS_2}", "line 2: LUT_1D_INPUT_RANGE: only"),
    "video in": (f"LUT_IN_VIDEO_RANGE\nLUT_3D_SIZE 2\n{ROWS_2}", "expects video range"),
    "video out": (f"LUT_OUT_VIDEO_RANGE\nLUT_3D_SIZE 2\n{ROWS_2}", "produces video range"),
    "unknown": (f"LUT_4D_SIZE 2\n{ROWS_2}", "line 1: unknown keyword 'LUT_4D_SIZE'"),
    "bare title": (f"TITLE hello\nLUT_3D_SIZE 2\n{ROWS_2}", "line 1: TITLE takes one text in double quotes"),
    "short domain": (f"LUT_3D_SIZE 2\nDOMAIN_MIN 0 0\n{ROWS_2}", "line 2: DOMAIN_MIN takes 3 finite numbers"),
    "NaN domain": (f"LUT_3D_SIZE 2\nDOMAIN_MAX 1 nan 1\n{ROWS_2}", "line 2: DOMAIN_MAX takes 3 finite"),
    "empty domain": (f"LUT_3D_SIZE 2\nDOMAIN_MIN 0 1 0\n{ROWS_2}", r"line 3: the domain .* is empty"),
    "two domains": (
        f"LUT_3D_SIZE 2\nDOMAIN_MIN 0 0 0\nLUT_3D_INPUT_RANGE 0 1\n{ROWS_2}",
        "line 4: LUT_3D_INPUT_RANGE and DOMAIN_MIN/MAX exclude each other",
    ),
    "long line": ("#" * 5000, "line 1: a line longer than 4096 characters"),
    "binary": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary or UTF-16 data"),
    "UTF-16": (f"LUT_3D_SIZE 2\n{ROWS_2}".encode("utf-16"), "binary or UTF-16 data"),
    "latin-1": (f'TITLE "été"\nLUT_3D_SIZE 2\n{ROWS_2}'.encode("latin-1"), "not UTF-8 text"),
    "latin-1 in table": (f"LUT_3D_SIZE 2\n{ROWS_2}".encode() + b"#" * 9000 + b"\xe9\n", "not UTF-8 text"),
    "lone surrogate": (f"# \udc80\nLUT_3D_SIZE 2\n{ROWS_2}", "not UTF-8 text"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_file_is_refused_with_line_and_rule(case):
    text, message = BAD[case]
    with pytest.raises(CubeError, match=f"^bad.cube.*{message}") as caught:
        read_cube(text, name="bad.cube")
    assert ";" in str(caught.value), "rule and remedy"


def test_a_file_too_large_for_any_lut_is_refused_unread(monkeypatch):
    monkeypatch.setattr(cube_module, "MAX_BYTES", 100)
    with pytest.raises(CubeError, match="x.cube: 101 bytes exceed the limit of 100"):
        read_cube(b"#" * 101, name="x.cube")


@given(st.data())
@settings(max_examples=150, derandomize=True, deadline=None)
def test_a_damaged_file_is_read_or_refused_but_never_crashes(data):
    text = bytearray(write_cube(asymmetric(2), title="t", comments=["c"]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
    with contextlib.suppress(CubeError):
        assert np.isfinite(read_cube(bytes(text), name="x.cube").lut).all()


@pytest.mark.parametrize(
    ("lut", "arguments", "message"),
    [
        (np.zeros((2, 2, 3)), {}, r"shape \[2, 2, 3\]: must be \[N, N, N, 3\]"),
        (np.zeros(()), {}, r"shape \[\]"),
        (np.zeros((1, 1, 1, 3)), {}, r"N in 2\.\.129"),
        (np.full((2, 2, 2, 3), np.nan), {}, "NaN or infinite nodes"),
        (np.zeros((2, 2, 2, 3)), {"title": 'a "b"'}, "no escape for a double quote"),
        (np.zeros((2, 2, 2, 3)), {"title": "a\nLUT_3D_SIZE 9"}, "one line of printable text"),
        (np.zeros((2, 2, 2, 3)), {"comments": ["fine", "a\u2028b"]}, "comment .* one line of printable"),
        (np.zeros((2, 2, 2, 3)), {"comments": ["x" * 241]}, "longer than 240 bytes"),
    ],
)
def test_what_a_cube_cannot_hold_is_not_written(lut, arguments, message):
    with pytest.raises(CubeError, match=message):
        write_cube(lut, **arguments)


def test_pillow_reads_the_same_channel_order(tmp_path):
    path = tmp_path / "x.cube"
    path.write_text(write_cube(asymmetric(5), title="t", comments=["c"]))
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    theirs = np.asarray(Image.fromarray(pixels).filter(_pillow_lut(path)))
    ours = sample_cube(Cube(asymmetric(5)), pixels.reshape(-1, 3).T / 255).T.reshape(pixels.shape) * 255
    assert np.abs(theirs - ours).max() < 1


def _pillow_lut(path):
    """Pillow applies 3D LUTs but reads no `.cube`: hand it the rows as they stand in the file."""
    lines = path.read_text().splitlines()
    size = next(int(line.split()[1]) for line in lines if line.startswith("LUT_3D_SIZE"))
    rows = [tuple(map(float, line.split())) for line in lines if line and line[0] in "-0123456789"]
    return ImageFilter.Color3DLUT(size, rows)


@pytest.mark.parametrize("size", [2, 5, 33])
def test_opencolorio_gives_the_same_colours(tmp_path, size):
    ocio = pytest.importorskip("PyOpenColorIO", reason="OpenColorIO is not installed")
    path = tmp_path / "x.cube"
    path.write_text(write_cube(asymmetric(size), title="t", comments=["acts on the merged image"]))
    transform = ocio.FileTransform(str(path), interpolation=ocio.INTERP_LINEAR)
    colours = np.random.default_rng(1).random((500, 3), dtype=np.float32)
    theirs = colours.copy()
    ocio.Config.CreateRaw().getProcessor(transform).getDefaultCPUProcessor().applyRGB(theirs)
    ours = sample_cube(read_cube(path.read_bytes(), name="x.cube"), colours.T).T
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_opencolorio_agrees_on_the_domain(tmp_path):
    ocio = pytest.importorskip("PyOpenColorIO", reason="OpenColorIO is not installed")
    rows = write_cube(asymmetric(3)).partition("\n\n")[2]
    path = tmp_path / "x.cube"
    path.write_text(f"LUT_3D_SIZE 3\nDOMAIN_MIN -0.5 0.1 0\nDOMAIN_MAX 1.5 0.8 2\n{rows}")
    transform = ocio.FileTransform(str(path), interpolation=ocio.INTERP_LINEAR)
    theirs = np.random.default_rng(2).random((500, 3), dtype=np.float32)
    ours = sample_cube(read_cube(path.read_bytes(), name="x.cube"), theirs.T.copy()).T
    ocio.Config.CreateRaw().getProcessor(transform).getDefaultCPUProcessor().applyRGB(theirs)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)
