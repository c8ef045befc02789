"""Scores and tables."""

import numpy as np

from lutfuse.models.evaluation.scores import score, summary, to_csv, to_markdown
from lutfuse.models.fusion.classical import plain_average


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


def test_tables_have_a_line_per_row_and_leave_empty_what_was_not_measured():
    rows = [{"bracket": "a", "psnr_db": 20.5}, {"bracket": "b", "psnr_db": None}]
    assert to_csv(rows) == "bracket,psnr_db\na,20.5\nb,\n"
    assert to_markdown(rows) == "| bracket | psnr_db |\n|---|---|\n| a | 20.5 |\n| b | – |\n"
