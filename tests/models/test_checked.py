"""Recipes from JSON: whatever is wrong with them, the message names key, value and rule."""

import json

import pytest

from lutfuse.models.checked import ConfigError
from lutfuse.models.student.config import StudentConfig
from lutfuse.models.training.recipe import TrainConfig
from lutfuse.pipeline.cli import main

WRONG = [
    ({"steps": "many"}, "steps is 'many'; it must be a whole number"),
    ({"steps": 1.5}, "steps is 1.5; it must be a whole number"),
    ({"steps": True}, "steps is True; it must be a whole number"),
    ({"seed": None}, "seed is None; it must be a whole number"),
    ({"seed": -1}, "seed is -1; it must lie in 0 to 4294967295"),
    ({"learning_rate": "fast"}, "learning_rate is 'fast'; it must be a finite number"),
    ({"learning_rate": float("nan")}, "learning_rate is nan; it must be a finite number"),
    ({"learning_rate": 10**400}, "it must be a finite number"),
    ({"warmup_steps": 0}, "warmup_steps is 0; it must be at least 1"),
    ({"hdr_share": 2}, "hdr_share is 2; it must lie in 0 to 1"),
    ({"lut_sizes": 3}, "lut_sizes is 3; it must be a list"),
    ({"lut_sizes": "33"}, "lut_sizes is '33'; it must be a list"),
    ({"lut_sizes": [9, "a"]}, "lut_sizes[1] is 'a'; it must be a whole number"),
    ({"lut_sizes": []}, "lut_sizes is []; it must list sizes of 2 to 129"),
    ({"lut_sizes": [9, 130]}, "it must list sizes of 2 to 129"),
    ({"loss": []}, "loss is []; it must be a JSON object"),
    ({"loss": {"mef_ssim": "x"}}, "loss.mef_ssim is 'x'; it must be a finite number"),
    ({"loss": {"mef_ssim": -1}}, "loss.mef_ssim is -1; it must be at least 0"),
    ({"loss": {"l2": 1}}, "unknown LossWeights keys ['l2']"),
    ({"student": None}, "student is None; it must be a JSON object"),
    ({"student": {"priors": 1}}, "student.priors is 1; it must be true or false"),
    ({"student": {"grid_rows": 0}}, "student.grid_rows is 0; it must lie in 1 to 64"),
    ({"distil": "slow"}, "distil is 'slow'; it must be one of none, frozen, alternating"),
    ({"distil": []}, "distil is []; it must be one of"),
    ({"kd_uncertainty": "yes"}, "kd_uncertainty is 'yes'; it must be true or false"),
    ({"teacher": {"bases": 0}}, "teacher.bases is 0; it must be at least 1"),
    ({"teacher": {"lut_size": 1}}, "teacher.lut_size is 1; it must lie in 2 to 129"),
    ({"distil": "frozen", "teacher": {"thumb": 100}}, "teacher: thumb is 100 px"),
]


@pytest.mark.parametrize(("values", "message"), WRONG)
def test_a_wrong_recipe_is_refused_with_key_value_and_rule(values, message):
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_json(values)
    assert message in str(caught.value)


@pytest.mark.parametrize("field", TrainConfig.__dataclass_fields__)
def test_no_field_takes_a_value_of_a_type_it_cannot_have(field):
    for value in (None, {"a": []}, [[]]):
        with pytest.raises(ConfigError):
            TrainConfig.from_json({field: value})


def test_a_recipe_that_is_not_an_object_is_refused():
    with pytest.raises(ConfigError, match="StudentConfig is 3; it must be a JSON object"):
        StudentConfig.from_json(3)


def test_whole_numbers_are_numbers_and_lists_become_tuples():
    config = TrainConfig.from_json({"learning_rate": 1, "lut_sizes": [5], "teacher": {"bases": 2}})
    assert (config.learning_rate, config.lut_sizes, config.teacher.bases) == (1, (5,), 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"steps": "many"}', "steps is 'many'"),
        ('{"loss": []}', "loss is []"),
        ('{"provenance": 3}', "must hold an object"),
        ('{"provenance": {"recipe": 3}}', "must hold an object"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("\xff", "cannot be read as JSON"),
        (json.dumps({"provenance": {"recipe": {"lut_sizes": 3}}}), "lut_sizes is 3"),
    ],
)
def test_the_command_exits_with_2_on_a_wrong_recipe(text, message, tmp_path, capsys):
    path = tmp_path / "recipe.json"
    path.write_bytes(text.encode("latin-1"))
    argv = ["train", "--data", str(tmp_path), "--output", str(tmp_path / "out"), "--config", str(path)]
    assert main(argv) == 2
    assert message in capsys.readouterr().err
