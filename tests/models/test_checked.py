"""Checked dataclasses and their JSON: whatever is wrong, the message names key, value and rule."""

import json

import pytest

from lutfuse.models.checked import ConfigError, read_json
from lutfuse.models.student.config import StudentConfig
from lutfuse.models.training.recipe import TrainConfig
from lutfuse.pipeline.cli import main

WRONG = [
    ({"steps": "many"}, "steps is 'many'; it must be a whole number"),
    ({"steps": 1.5}, "steps is 1.5; it must be a whole number"),
    ({"steps": True}, "steps is True; it must be a whole number"),
    ({"seed": None}, "seed is None; it must be a whole number"),
    ({"seed": -1}, "seed is -1; it must be a whole number from 0 to 4294967295"),
    ({"learning_rate": "fast"}, "learning_rate is 'fast'; it must be a finite number"),
    ({"learning_rate": float("nan")}, "learning_rate is nan; it must be a finite number"),
    ({"learning_rate": 10**400}, "it must be a finite number of at least 0"),
    ({"learning_rate": float("inf")}, "learning_rate is inf; it must be a finite number"),
    ({"warmup_steps": 0}, "warmup_steps is 0; it must be a whole number of at least 1"),
    ({"hdr_share": 2}, "hdr_share is 2; it must be a number from 0 to 1"),
    ({"lut_sizes": 3}, "lut_sizes is 3; it must be a list"),
    ({"lut_sizes": "33"}, "lut_sizes is '33'; it must be a list"),
    ({"lut_sizes": [9, "a"]}, "lut_sizes[1] is 'a'; it must be a whole number"),
    ({"lut_sizes": []}, "lut_sizes is []; it must be a list of one value or more"),
    ({"lut_sizes": [9, 130]}, "lut_sizes[1] is 130; it must be a whole number from 2 to 129"),
    ({"loss": []}, "loss is []; it must be a JSON object"),
    ({"loss": {"mef_ssim": "x"}}, "loss.mef_ssim is 'x'; it must be a finite number"),
    ({"loss": {"mef_ssim": -1}}, "loss.mef_ssim is -1; it must be a finite number of at least 0"),
    ({"loss": {"l2": 1}}, "unknown LossWeights keys ['l2']; known are mef_ssim, mef_ssim_c, "),
    ({"student": None}, "student is None; it must be a JSON object"),
    ({"student": {"priors": 1}}, "student.priors is 1; it must be true or false"),
    ({"student": {"grid_rows": 0}}, "student.grid_rows is 0; it must be a whole number from 1 to 64"),
    ({"distil": "slow"}, "distil is 'slow'; it must be one of none, frozen, alternating"),
    ({"distil": []}, "distil is []; it must be one of"),
    ({"kd_uncertainty": "yes"}, "kd_uncertainty is 'yes'; it must be true or false"),
    ({"teacher": {"bases": 0}}, "teacher.bases is 0; it must be a whole number of at least 1"),
    ({"teacher": {"lut_size": 1}}, "teacher.lut_size is 1; it must be a whole number from 2 to 129"),
    ({"view": 20}, "view is 20; it must be a whole number of at least 44 (px)"),
    ({"held_out": 1.0}, "held_out is 1; it must be less"),
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


@pytest.mark.parametrize(
    ("made", "values", "message"),
    [
        (StudentConfig, {"width": 1}, "width is 1; it must be a whole number of at least 2"),
        (StudentConfig, {"width": 64.0}, "width is 64.0; it must be a whole number"),
        (StudentConfig, {"lut": 1}, "lut is 1; it must be true or false"),
        (TrainConfig, {"loss": None}, "loss is None; it must be a JSON object"),
        (TrainConfig, {"lut_sizes": [9]}, "lut_sizes is [9]; it must be a list"),
        (TrainConfig, {"steps": "9" * 500}, "steps is '9999"),
    ],
)
def test_an_instance_made_in_code_keeps_the_same_rules(made, values, message):
    with pytest.raises(ConfigError) as caught:
        made(**values)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 200


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
        ("[" * 100_000, "cannot be read: nested too deeply"),
        ("\xff", "cannot be read: not UTF-8 text"),
        (json.dumps({"provenance": {"recipe": {"lut_sizes": 3}}}), "lut_sizes is 3"),
    ],
)
def test_the_command_exits_with_2_on_a_wrong_recipe(text, message, tmp_path, capsys):
    path = tmp_path / "recipe.json"
    path.write_bytes(text.encode("latin-1"))
    argv = ["train", "--data", str(tmp_path), "--output", str(tmp_path / "out"), "--config", str(path)]
    assert main(argv) == 2
    assert message in capsys.readouterr().err


NOT_STRICT = {
    "duplicate": (b'{"a": {"b": 1, "c": 2, "b": 1}}', "'b' is given twice; keep one of them"),
    "NaN": (b'{"a": NaN}', "NaN is no number in JSON; write a finite number"),
    "infinity": (b'{"a": -Infinity}', "-Infinity is no number in JSON"),
    "syntax": (b'{"a": 1,\n "b" 2}', "line 2 is not JSON (Expecting ':' delimiter)"),
    "empty": (b"", "line 1 is not JSON"),
    "list": (b"[1]", "the file holds [1]; it must be one JSON object"),
    "nested": (b"[" * 60000, "nested too deeply"),
    "latin-1": ('{"a": "é"}'.encode("latin-1"), "not UTF-8 text; save it as UTF-8"),
    "size": (b" " * (2**20 + 1), "1048577 bytes, of at most 1048576; is it the right file?"),
}


@pytest.mark.parametrize("case", NOT_STRICT)
def test_json_that_is_not_strict_is_refused(case):
    data, message = NOT_STRICT[case]
    with pytest.raises(ConfigError) as caught:
        read_json(data)
    assert str(caught.value).startswith(message)


def test_json_is_read_as_it_stands():
    assert read_json(b'\xef\xbb\xbf{"a": [1, 1.5, true, null, "x"]}') == {"a": [1, 1.5, True, None, "x"]}
    assert read_json(b'{"a": 12345678901234567890}') == {"a": 12345678901234567890}
    assert read_json(b'{"a": -' + b"9" * 6000 + b"}") == {"a": float("-inf")}
