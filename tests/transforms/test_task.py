"""Which options and inputs change which digest of a task, and so what a second run does again."""

import dataclasses

import numpy as np
import pytest

from lutfuse.models.looks.cube import Cube
from lutfuse.models.looks.load import load_preset
from lutfuse.transforms.images.types import DecodeLimits
from lutfuse.transforms.inputs.brackets import Bracket
from lutfuse.transforms.options import FuseOptions, GivenLuts
from lutfuse.transforms.stages import BracketError, Stages
from lutfuse.transforms.task import LUT_MARK, Task, lut_mark, prepare

BRACKET = Bracket("deep/scene", ("1.jpg", "2.jpg"), "reference.png")
TASK = Task(BRACKET, FuseOptions("out"), "model")
KEYS = ("config", "lut_key", "merge_key")

# For every option another value, and the digests that it changes.
OPTIONS = {
    "output": ("elsewhere", ()),
    "image_format": ("png", ("config",)),
    "quality": (90, ("config",)),
    "lut_size": (17, ("config", "lut_key")),
    "look": (load_preset("warm"), KEYS),
    "luts": (GivenLuts("luts"), ()),  # the LUT that is read counts, not its place
    "export_luts": (True, ()),
    "export_merge": (True, ()),
    "device": ("cpu", ()),
    "overwrite": (True, ()),
    "weights": ("mine.safetensors", ()),  # the model counts, not its place
    "limits": (DecodeLimits(1.0), ()),
    "max_inflight_bytes": (1, ()),
}


def lut(size, scale=1.0):
    nodes = np.linspace(0, scale, size**3 * 3, dtype=np.float32)
    return nodes.reshape(size, size, size, 3)


def changed(task):
    return tuple(key for key in KEYS if getattr(task, key) != getattr(TASK, key))


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(FuseOptions)])
def test_an_option_changes_the_digests_of_what_it_decides_and_no_others(name):
    value, keys = OPTIONS[name]
    assert value != getattr(TASK.options, name)
    assert changed(Task(BRACKET, dataclasses.replace(TASK.options, **{name: value}), "model")) == keys


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"group_id": "other"}, ()),
        ({"uris": ("1.jpg", "3.jpg")}, KEYS),
        ({"uris": ("1.jpg", "2.jpg", "3.jpg")}, KEYS),
        ({"reference": None}, ("config",)),
    ],
)
def test_inputs_change_the_digests_of_what_they_decide(change, keys):
    assert changed(Task(dataclasses.replace(BRACKET, **change), TASK.options, "model")) == keys


def test_another_model_changes_every_digest():
    assert changed(Task(BRACKET, TASK.options, "model 2")) == KEYS


def test_the_nodes_of_a_given_lut_count_and_its_title_does_not():
    given = [Cube(lut(2)), Cube(lut(3)), Cube(lut(3, 0.5))]
    configs = [Task(BRACKET, TASK.options, "model", cube).config for cube in given]
    assert len({TASK.config, *configs}) == 4
    titled = Task(BRACKET, TASK.options, "model", Cube(lut(3), "title"))
    assert titled.config == configs[1]
    assert titled.lut_size == 3


def test_the_brackets_own_lut_given_back_counts_as_the_prediction_until_its_nodes_change():
    nodes = lut(TASK.lut_size)
    mark = f"{LUT_MARK} {TASK.lut_key} {Cube(nodes).digest}"
    assert Task(BRACKET, TASK.options, "model", Cube(nodes, comments=(mark,))).config == TASK.config
    edited = Cube(lut(TASK.lut_size, 0.5), comments=(mark,))
    assert Task(BRACKET, TASK.options, "model", edited).config != TASK.config


@pytest.mark.parametrize("comment", ["by hand", LUT_MARK, f"{LUT_MARK} a", f"{LUT_MARK} a b c"])
def test_a_cube_from_elsewhere_has_no_mark(comment):
    assert lut_mark(Cube(lut(2))) is None
    assert lut_mark(Cube(lut(2), comments=(comment,))) is None


@pytest.mark.parametrize(("image_format", "extension"), [("jpeg", "jpg"), ("png", "png"), ("tiff", "tif")])
def test_the_output_is_named_by_bracket_and_format(image_format, extension):
    task = Task(BRACKET, FuseOptions("gs://b/out", image_format=image_format), "model")
    assert task.output_uri == f"gs://b/out/fused/deep/scene.{extension}"


def test_a_bracket_with_a_problem_is_no_task():
    with pytest.raises(BracketError, match="^1 exposure$") as caught:
        prepare(Bracket("b", ("x",), problem="1 exposure"), TASK.options, "model", Stages())
    assert (caught.value.stage, caught.value.error_type) == ("input", "invalid_bracket")
