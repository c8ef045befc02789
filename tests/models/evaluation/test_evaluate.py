"""The quality table and the contact sheets."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from lutfuse.models.evaluation.contact_sheet import contact_sheet
from lutfuse.models.evaluation.evaluate import main, plain_average, read_bracket, score, summary


def write_bracket(folder: Path, frames: int = 3, reference: bool = False, side: int = 64) -> None:
    folder.mkdir(parents=True)
    light = np.random.default_rng(0).lognormal(0, 1, (8, 8, 3)).astype(np.float32)
    light = cv2.resize(light, (side, side), interpolation=cv2.INTER_CUBIC)
    for k in range(frames):
        exposed = np.clip(light * 0.2 * 3.0 ** (k - frames // 2), 0, 1) ** 0.45
        cv2.imwrite(str(folder / f"{k}.png"), (exposed * 255).astype(np.uint8))
    if reference:
        cv2.imwrite(
            str(folder / "reference.png"), (np.clip(light * 0.2, 0, 1) ** 0.45 * 255).astype(np.uint8)
        )


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_command_writes_table_summary_and_sheets(tmp_path, capsys):
    write_bracket(tmp_path / "data" / "x" / "a", reference=True)
    write_bracket(tmp_path / "data" / "b", frames=2)
    out = tmp_path / "out"
    assert main(["--data", str(tmp_path / "data"), "--output", str(out), "--lut-size", "9"]) == 0
    rows = read(out / "scores.csv")
    assert [(row["bracket"], row["method"]) for row in rows[:4]] == [
        ("b", "lutfuse"), ("b", "mertens"), ("b", "average"), ("x/a", "lutfuse"),
    ]  # fmt: skip
    assert float(rows[3]["psnr_db"]) > 5
    assert rows[0]["psnr_db"] == ""
    assert 0 < float(rows[0]["mef_ssim_c"]) <= 1
    assert (out / "sheets" / "x--a.jpg").stat().st_size > 1000
    assert (out / "scores.md").read_text().count("\n") == 2 + 6
    assert "| mean of 2 | lutfuse |" in capsys.readouterr().out


def test_ends_takes_the_darkest_and_the_brightest_frame(tmp_path):
    write_bracket(tmp_path / "a", frames=5)
    frames, _ = read_bracket(tmp_path / "a", 1000, ends=True)
    every, _ = read_bracket(tmp_path / "a", 1000, ends=False)
    assert len(frames) == 2
    assert np.array_equal(frames[0], every[0])
    assert np.array_equal(frames[1], every[-1])


def test_tables_only_on_request(tmp_path):
    write_bracket(tmp_path / "a")
    out = tmp_path / "out"
    assert main(["--data", str(tmp_path / "a"), "--output", str(out), "--no-sheets", "--lut-size", "2"]) == 0
    assert not list((out / "sheets").iterdir())


def test_the_average_rounds_to_nearest():
    levels = [np.full((2, 2, 3), level, np.uint8) for level in (0, 1, 1)]
    assert (plain_average(levels) == 1).all()


def test_what_cannot_be_measured_is_left_out_not_zero():
    frames = [np.full((5, 5, 3), level, np.uint8) for level in (10, 200)]
    row = score("tiny", "average", frames, None, plain_average(frames), 1.0)
    assert row["mef_ssim"] is row["psnr_db"] is None
    assert row["clipped_high"] == 0


def test_an_identical_image_has_no_finite_psnr():
    frames = [np.full((16, 16, 3), level, np.uint8) for level in (10, 200)]
    assert score("same", "average", frames, frames[0], frames[0], 1.0)["psnr_db"] is None


def test_means_run_over_the_brackets_that_have_the_score():
    frames = [np.full((16, 16, 3), level, np.uint8) for level in (10, 200)]
    with_reference = score("a", "m", frames, frames[1], frames[0], 1.0)
    without = score("b", "m", frames, None, frames[0], 3.0)
    (line,) = summary([with_reference, without])
    assert line["psnr_db"] == with_reference["psnr_db"]
    assert line["msec"] == 2.0


def test_a_sheet_holds_rows_of_any_length_and_shape():
    tall, wide = np.zeros((300, 100, 3), np.uint8), np.full((100, 300, 3), 200, np.uint8)
    sheet = contact_sheet([[("a", wide)], [("b", wide), ("c", wide)], [("d", tall)]], tile=60)
    assert sheet.shape[1] == 2 * 66
    assert sheet.max() >= 200


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--data", "empty"], "holds no bracket"),
        (["--data", "ok", "--lut-size", "1"], "2…129"),
        (["--data", "ok", "--max-side", "0"], "--max-side is 0"),
        (["--data", "ok", "--weights", "none.safetensors"], "does not exist"),
        (["--data", "many"], "at most 9"),
        (["--data", "ok", "--output", "file"], "cannot be made"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_to_do(extra, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").touch()
    write_bracket(Path("ok"))
    write_bracket(Path("many"), frames=10, side=16)
    assert main(["--output", "out", *extra]) == 2
    assert message in capsys.readouterr().err
