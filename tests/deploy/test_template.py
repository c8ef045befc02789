"""The Flex Template offers every option of `lutfuse fuse`, and hands each back unharmed."""

import json
import re
from pathlib import Path

import pytest

from lutfuse.pipeline import template

SHIPPED = Path(__file__).parents[2] / "deploy" / "flex-template" / "metadata.json"


@pytest.fixture
def parameters():
    return {parameter["name"]: parameter for parameter in json.loads(SHIPPED.read_text())["parameters"]}


def test_the_shipped_metadata_is_that_of_the_options_today():
    shipped = json.loads(SHIPPED.read_text())
    assert shipped == template.metadata(), (
        "run: python -m lutfuse.pipeline.template > deploy/flex-template/metadata.json"
    )


def test_every_option_is_there_with_help_and_validation(parameters):
    assert set(parameters) == {action.dest for action in template.fuse_actions()}
    assert len(parameters) > 15
    for parameter in parameters.values():
        assert len(parameter["helpText"]) > 10
        assert "%(" not in parameter["helpText"]
        assert parameter["regexes"]
        assert parameter["paramType"] in {"TEXT", "NUMBER", "BOOLEAN", "ENUM"}


def test_every_default_passes_its_own_validation(parameters):
    defaults = {name: p for name, p in parameters.items() if "defaultValue" in p}
    assert {"lut_size", "format", "overwrite"} <= set(defaults)
    for parameter in defaults.values():
        assert all(re.search(regex, parameter["defaultValue"]) for regex in parameter["regexes"])


def test_only_input_and_output_must_be_given(parameters):
    assert [name for name, p in parameters.items() if not p["isOptional"]] == ["input", "output"]


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("output", "gs://b/out", "/local"),
        ("quality", "100", "101"),
        ("lut_size", "33", "33.5"),
        ("exif_gap", "0.5", "soon"),
        ("strength", "0.25", "2"),
        ("format", "png", "webp"),
        ("overwrite", "true", "yes"),
        ("accelerator", "nvidia-l4", "NVIDIA L4"),
        ("accelerator", "type:nvidia-l4;count:1;install-nvidia-driver", "type:nvidia-l4"),
    ],
)
def test_the_console_refuses_what_the_command_would_refuse(parameters, name, good, bad):
    regexes = parameters[name]["regexes"]
    assert all(re.search(regex, good) for regex in regexes)
    assert not all(re.search(regex, bad) for regex in regexes)


def test_parameters_become_the_command_line_and_beams_own_pass():
    given = [
        "--input=gs://b/in=1",
        "--lut_size=17",
        "--overwrite=true",
        "--dry_run=false",
        "--look=",
        "--runner=DataflowRunner",
        "--template_location=gs://b/job",
        "--streaming",
    ]
    assert list(template.command_line(given)) == [
        "--input=gs://b/in=1",
        "--lut-size=17",
        "--overwrite",
        "--runner=DataflowRunner",
        "--template_location=gs://b/job",
        "--streaming",
    ]
