"""`lutfuse bench`: a table for people, a JSON file for programs."""

import json

from lutfuse.pipeline.arguments import OK
from lutfuse.pipeline.cli import main
from lutfuse.transforms.bench import BASELINES, STAGES


def test_the_figures_are_printed_and_written(tmp_path, capsys):
    target = tmp_path / "figures.json"
    size = ["--width", "64", "--height", "48", "--lut-size", "5"]
    assert main(["bench", *size, "--exposures", "2", "--repeats", "1", "--json", str(target)]) == OK
    shown = capsys.readouterr().out
    assert "msec per bracket, 64x48" in shown
    assert all(name in shown for name in (*STAGES, *BASELINES, "K = 2", "total / codecs"))
    (bracket,) = json.loads(target.read_text())["brackets"]
    assert bracket["exposures"] == 2
