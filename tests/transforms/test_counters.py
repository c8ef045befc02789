"""Progress: Beam's counters and distributions, and the letters that local workers leave in a file."""

from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from lutfuse.transforms.counters import LETTERS, NAMESPACE, count, measure, report, tally


@pytest.fixture
def progress_file(tmp_path):
    path = tmp_path / "progress"
    path.touch()
    return str(path)


def step(number):
    count("steps")
    count("numbers", number)
    measure("half-msec", number / 2 + 0.1)


def test_counts_add_up_and_measures_are_rounded_into_a_distribution():
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | beam.Create([2, 4, 6]) | beam.Map(step)
    found = pipeline.run().metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    counters = {counter.key.metric.name: counter.committed for counter in found["counters"]}
    assert counters == {"steps": 3, "numbers": 12}
    (half,) = (result.committed for result in found["distributions"])
    assert (half.min, half.max, half.sum, half.count) == (1, 3, 6, 3)


def test_outside_of_a_bundle_counting_has_no_effect():
    count("launcher")
    measure("launcher-msec", 1.5)


def test_reports_of_many_threads_are_all_tallied(progress_file):
    outcomes = [*LETTERS] * 200
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda outcome: report(progress_file, outcome), outcomes))
    assert tally(progress_file) == dict.fromkeys(LETTERS, 200)


def test_without_a_file_nothing_is_reported_and_a_lost_one_is_an_error(progress_file):
    report(None, "fused")
    assert tally(progress_file) == dict.fromkeys(LETTERS, 0)
    with pytest.raises(FileNotFoundError):
        report(f"{progress_file}.gone", "fused")


def test_an_unknown_outcome_is_an_error_and_not_a_letter(progress_file):
    with pytest.raises(KeyError):
        report(progress_file, "lost")
    assert tally(progress_file) == dict.fromkeys(LETTERS, 0)
