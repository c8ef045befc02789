"""Weights files: hash, JSON, no classes, no surprises."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from lutfuse.models.student.checkpoint import SHIPPED, load_student, save_student
from lutfuse.models.student.config import MAX_PARAMETERS, StudentConfig
from lutfuse.models.student.network import Student


@pytest.fixture
def saved(tmp_path: Path, tiny: StudentConfig) -> Path:
    torch.manual_seed(0)
    save_student(Student(tiny), tmp_path / "s.safetensors", "tiny", {"step": 1})
    return tmp_path / "s.safetensors"


def edit(path: Path, **changes: object) -> None:
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(card | changes))


def test_a_saved_student_comes_back_with_the_same_tensors_and_a_telling_id(saved, tiny):
    torch.manual_seed(0)
    expected = Student(tiny).state_dict()
    student, model_id = load_student(saved)
    digest = json.loads(saved.with_suffix(".json").read_text())["sha256"]
    assert model_id == f"tiny-{digest[:8]}"
    assert all(torch.equal(value, expected[key]) for key, value in student.state_dict().items())
    assert not student.training
    assert not any(p.requires_grad for p in student.parameters())


def test_the_same_tensors_give_the_same_bytes(saved, tmp_path):
    student, _ = load_student(saved)
    save_student(student, tmp_path / "again.safetensors", "tiny", {})
    assert saved.read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_one_flipped_bit_is_refused(saved):
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    with pytest.raises(ValueError, match="sha256"):
        load_student(saved)


def test_missing_files_are_named(tmp_path, saved):
    with pytest.raises(ValueError, match="needs its JSON"):
        load_student(tmp_path / "none.safetensors")
    saved.unlink()
    with pytest.raises(ValueError, match="does not exist"):
        load_student(saved)


def test_a_broken_or_foreign_json_is_refused(saved):
    edit(saved, surprise=1)
    with pytest.raises(ValueError, match="exactly the keys"):
        load_student(saved)
    saved.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        load_student(saved)
    saved.with_suffix(".json").write_text('{"name": "a", "name": "b"}')
    with pytest.raises(ValueError, match="s.json: 'name' is given twice; .*; fetch it again"):
        load_student(saved)


def test_an_unknown_configuration_key_is_refused(saved, tiny):
    edit(saved, config=tiny.to_json() | {"depth": 9})
    with pytest.raises(ValueError, match="depth"):
        load_student(saved)


def test_an_incomplete_configuration_is_refused(saved, tiny):
    config = tiny.to_json()
    del config["merged_bins"]
    edit(saved, config=config)
    with pytest.raises(ValueError, match="incomplete"):
        load_student(saved)


def test_tensors_of_another_shape_are_refused(saved, tiny):
    edit(saved, config=tiny.to_json() | {"blocks": 3})
    with pytest.raises(ValueError, match=r"do not fit.*blocks\.2"):
        load_student(saved)


def test_a_student_over_the_parameter_budget_is_refused(saved, tiny):
    edit(saved, config=tiny.to_json() | {"width": 128})
    with pytest.raises(ValueError, match=f"at most {MAX_PARAMETERS:,}"):
        load_student(saved)


def test_bytes_that_are_no_safetensors_are_refused(saved):
    saved.write_bytes(b"pickle")
    edit(saved, sha256=hashlib.sha256(b"pickle").hexdigest())
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_student(saved)


def test_the_shipped_weights_load_and_state_their_size():
    student, model_id = load_student(SHIPPED)
    card = json.loads(SHIPPED.with_suffix(".json").read_text())
    assert card["parameters"] == sum(p.numel() for p in student.parameters()) <= MAX_PARAMETERS
    assert model_id.startswith(f"{SHIPPED.stem}-")
