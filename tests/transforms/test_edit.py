"""The edit of a bracket: the model's prediction, the look, and a given LUT in place of the predicted one."""

import dataclasses

import numpy as np
import pytest

from lutfuse.models.looks.bake import bake_look
from lutfuse.models.looks.cube import Cube
from lutfuse.models.looks.grid_edits import edit_grid
from lutfuse.models.looks.load import load_preset
from lutfuse.transforms.edit import Edit, plan_edit
from lutfuse.transforms.stages import Stages

LOOK = load_preset("window-pull")  # colours and balance


@pytest.fixture
def pictures(frames):
    dark, middle, bright = frames(3)
    return [bright, dark, middle]


@pytest.fixture
def prediction(predictor, pictures):
    return predictor.predict(pictures)


def test_frames_are_sorted_from_dark_to_bright_and_the_middle_one_lends_its_metadata(
    pictures, predictor, options
):
    edit = plan_edit(pictures, options, predictor, Stages())
    assert edit.order == (1, 2, 0)
    assert edit.middle == 2
    assert [id(frame) for frame in edit.sorted(pictures)] == [id(pictures[i]) for i in (1, 2, 0)]


@pytest.mark.parametrize(("order", "middle"), [((1, 0), 0), ((2, 0, 1), 0), ((3, 1, 0, 2), 0)])
def test_of_an_even_number_the_brighter_of_the_two_in_the_middle_counts(order, middle):
    nothing = np.zeros(0, np.float32)
    assert Edit(order, nothing, nothing).middle == middle


def test_without_a_look_the_edit_is_the_prediction_at_the_size_asked_for(
    pictures, predictor, prediction, options
):
    stages = Stages()
    edit = plan_edit(pictures, dataclasses.replace(options, lut_size=5), predictor, stages)
    np.testing.assert_array_equal(edit.grid, prediction.grid)
    np.testing.assert_array_equal(edit.lut, predictor.bake(prediction.latent, 5))
    assert set(stages.msec) == {"student_ms", "bake_ms"}


def test_a_look_edits_weights_and_lut(pictures, predictor, prediction, options):
    edit = plan_edit(pictures, dataclasses.replace(options, lut_size=5, look=LOOK), predictor, Stages())
    np.testing.assert_array_equal(edit.grid, edit_grid(prediction.grid, LOOK))
    np.testing.assert_array_equal(edit.lut, bake_look(predictor.bake(prediction.latent, 5), LOOK))
    assert not np.array_equal(edit.grid, prediction.grid)


def test_a_given_lut_replaces_the_looks_colours_and_leaves_its_balance(
    pictures, predictor, prediction, options
):
    given = Cube(np.linspace(0, 1, 81, dtype=np.float32).reshape(3, 3, 3, 3))
    edit = plan_edit(pictures, dataclasses.replace(options, look=LOOK), predictor, Stages(), given)
    np.testing.assert_array_equal(edit.lut, given.lut)
    np.testing.assert_array_equal(edit.grid, edit_grid(prediction.grid, LOOK))
