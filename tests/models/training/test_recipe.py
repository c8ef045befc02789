"""The recipe: what it refuses, and that JSON keeps it."""

import json

import pytest

from lutfuse.models.checked import ConfigError
from lutfuse.models.training.recipe import TrainConfig


def test_colour_counts_more_late_in_the_training():
    config = TrainConfig(steps=10, late_share=0.5, late_mef_ssim_c=2)
    assert [config.loss_at(step).mef_ssim_c for step in (0, 4)] == [config.loss.mef_ssim_c] * 2
    assert [config.loss_at(step).mef_ssim_c for step in (5, 9)] == [2, 2]


@pytest.mark.parametrize(
    "bad", [{"view": 20}, {"steps": 0}, {"held_out": 1.0}, {"loss": {"l2": 1}}, {"student": {"x": 1}}]
)
def test_impossible_recipes_are_refused(bad):
    with pytest.raises(ConfigError):
        TrainConfig.from_json(bad)


def test_a_recipe_survives_json(tiny):
    assert TrainConfig.from_json(json.loads(json.dumps(tiny.to_json()))) == tiny
