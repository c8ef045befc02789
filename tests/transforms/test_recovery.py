"""The row inside a fused image: who recovers it, and what is not mistaken for one."""

import pytest

from lutfuse.transforms.fuse import fuse_bracket
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.recovery import recover_row
from lutfuse.transforms.rows import TIMINGS
from lutfuse.transforms.storage import files
from lutfuse.transforms.task import Task


def test_pipeline_row_inside_the_image_lets_a_second_run_recover_it(bracket, options, predictor):
    row = fuse_bracket(bracket, options, predictor)
    recovered = recover_row(Task(bracket, options, predictor.model_id))
    timeless = {k: v for k, v in row.items() if k not in TIMINGS and k not in ("worker", "device")}
    assert {k: recovered[k] for k in timeless} == timeless
    assert recovered["total_ms"] is None
    assert recover_row(Task(bracket, options, "another-model")) is None


@pytest.mark.parametrize("content", [b"", b"no image at all", None])
def test_a_foreign_file_in_the_place_of_the_output_is_not_mistaken_for_a_result(
    bracket, options, frames, content
):
    data = (
        image_io.encode(frames(1)[0], format="jpeg", comment='{"lutfuse": "x"}')
        if content is None
        else content
    )
    task = Task(bracket, options, "m")
    files.write_bytes(task.output_uri, data)
    assert recover_row(task) is None


@pytest.mark.parametrize(
    "rest", ['"row": {}', '"row": {"width": "wide"}', '"row": 7', '"other": 1', "broken"]
)
def test_a_row_that_is_incomplete_or_damaged_is_not_recovered(bracket, options, frames, rest):
    task = Task(bracket, options, "m")
    comment = f'{{"config": "{task.config}", {rest}}}'
    files.write_bytes(task.output_uri, image_io.encode(frames(1)[0], format="jpeg", comment=comment))
    assert recover_row(task) is None
