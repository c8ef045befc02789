"""The graph under a test pipeline, and the promise that it does what plain calls do."""

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline

from lutfuse.models.fusion.kernel import fuse
from lutfuse.models.student.predictor import Predictor
from lutfuse.pipeline import graph
from lutfuse.transforms.images import io as image_io
from lutfuse.transforms.inputs.brackets import Bracket, to_json
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.rows import read_rows


@pytest.fixture
def brackets(tmp_path, write_bracket):
    sizes = {"a": (64, 48), "b/c": (50, 70), "d": (33, 21)}
    return [
        Bracket(name, tuple(write_bracket(tmp_path / "in" / name, 2 + i, suffix="png", size=size, seed=i)))
        for i, (name, size) in enumerate(sizes.items())
    ]


def run(tmp_path, brackets, options):
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(to_json(b) + "\n" for b in brackets))
    prefixes = {"metrics": f"{tmp_path}/out/metrics/job", "failures": f"{tmp_path}/out/failures/job"}
    with TestPipeline(runner=FnApiRunner()) as pipeline:
        graph.build(pipeline, manifest=str(manifest), options=options, **prefixes)
    metrics, failures = (
        [row for batch in read_rows(prefix) for row in batch.to_pylist()] for prefix in prefixes.values()
    )
    return metrics, failures


def test_pipeline_equals_library_pixel_for_pixel(tmp_path, brackets):
    options = FuseOptions(output=f"{tmp_path}/out", image_format="png", lut_size=17)
    rows, failures = run(tmp_path, brackets, options)
    assert failures == []
    assert len(rows) == len(brackets) > 1
    assert len({(row["width"], row["height"]) for row in rows}) > 1
    predictor = Predictor.load()
    by_id = {bracket.group_id: bracket for bracket in brackets}
    for row in rows:
        with open(row["output_uri"], "rb") as file:
            piped = image_io.decode(file.read()).pixels
        frames = []
        for uri in by_id[row["group_id"]].uris:
            with open(uri, "rb") as file:
                frames.append(image_io.decode(file.read()).pixels)
        prediction = predictor.predict(frames)
        lut = predictor.bake(prediction.latent, 17)
        plain = fuse([frames[i] for i in prediction.order], prediction.grid, lut, device="cpu")
        assert np.array_equal(piped, plain)


def test_good_and_bad_brackets_end_as_one_row_each(tmp_path, brackets):
    bad = [
        Bracket("missing", ("/nowhere/1.jpg", "/nowhere/2.jpg")),
        Bracket("lone", ("/nowhere/1.jpg",), problem="1 exposure"),
        Bracket("twisted\udce9", ("/nowhere/\udce9.jpg", "/x.jpg")),
    ]
    rows, failures = run(tmp_path, [*brackets, *bad], FuseOptions(output=f"{tmp_path}/out"))
    assert sorted(row["group_id"] for row in rows) == sorted(b.group_id for b in brackets)
    assert {row["group_id"]: row["stage"] for row in failures} == {
        "missing": "read",
        "lone": "input",
        "twisted\\udce9": "read",
    }


def test_no_brackets_leave_empty_tables(tmp_path):
    assert run(tmp_path, [], FuseOptions(output=f"{tmp_path}/out")) == ([], [])


def test_only_small_elements_travel_and_the_heavy_step_is_one(tmp_path):
    pipeline = beam.Pipeline()
    graph.build(
        pipeline,
        manifest=__file__,
        options=FuseOptions(output=str(tmp_path)),
        metrics="/m/x",
        failures="/f/x",
    )
    proto = pipeline.to_runner_api()
    names = [t.unique_name for t in proto.components.transforms.values()]
    assert names.count("FuseBrackets") == 1
