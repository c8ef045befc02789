"""What a runner's page shows of a job: counters and distributions under the project's own name."""

import re
from pathlib import Path

import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline

from lutfuse.pipeline import graph
from lutfuse.transforms.counters import NAMESPACE
from lutfuse.transforms.inputs.brackets import Bracket, to_json
from lutfuse.transforms.options import FuseOptions
from lutfuse.transforms.rows import STAGES


@pytest.fixture
def finished(tmp_path, write_bracket):
    """The result of a job with two good brackets and one without files."""
    brackets = [
        Bracket(name, tuple(write_bracket(tmp_path / name, 2, size=(48, 32), seed=i)))
        for i, name in enumerate("ab")
    ]
    manifest = tmp_path / "brackets.jsonl"
    bad = Bracket("gone", ("/nowhere/1.jpg", "/nowhere/2.jpg"))
    manifest.write_text("".join(to_json(bracket) + "\n" for bracket in (*brackets, bad)))
    pipeline = TestPipeline(runner=FnApiRunner())
    graph.build(
        pipeline,
        manifest=str(manifest),
        options=FuseOptions(output=f"{tmp_path}/out"),
        metrics=f"{tmp_path}/out/metrics/x",
        failures=f"{tmp_path}/out/failures/x",
    )
    result = pipeline.run()
    result.wait_until_finish()
    return result.metrics().query()


def own(metrics):
    return {m.key.metric.name: m.committed for m in metrics if m.key.metric.namespace == NAMESPACE}


def test_counts_times_and_bytes_are_there_under_names_that_people_can_read(finished):
    counters, distributions = own(finished["counters"]), own(finished["distributions"])
    assert NAMESPACE == "lutfuse"
    assert counters["fused"] == 2
    assert counters["failed"] == counters["failed-read"] == 1
    assert counters["bytes-in"] > counters["bytes-out"] > 0
    assert {f"{stage}-msec" for stage in STAGES} | {"total-msec"} <= set(distributions)
    assert distributions["total-msec"].count == 2
    assert all(re.fullmatch(r"[a-z][a-z-]+", name) for name in (*counters, *distributions))


def test_every_counter_that_people_may_see_is_explained():
    root = Path(__file__).parents[2]
    source = "".join(path.read_text() for path in (root / "transforms").rglob("*.py"))
    names = set(re.findall(r'\b(?:count|measure)\("([a-z-]+)"', source))
    assert len(names) >= 4
    page = (root / "deploy" / "README.md").read_text()
    assert [
        name
        for name in names | {"fused", "skipped", "failed"}
        if f"| `{name}`" not in page and f", `{name}`" not in page
    ] == []
