"""Weights by path or URI: the same model, and errors under the names that people gave."""

import json
import shutil

import pytest

from lutfuse.models.student.checkpoint import SHIPPED
from lutfuse.models.student.predictor import Predictor
from lutfuse.transforms.weights import load_predictor, weights_files


@pytest.fixture
def objects(monkeypatch):
    """What a bucket holds, in place of one."""
    held = {f"gs://b/w/x{end}": SHIPPED.with_suffix(end).read_bytes() for end in (".safetensors", ".json")}

    def read(uri):
        if uri not in held:
            raise FileNotFoundError(2, "no such object", uri)
        return held[uri]

    monkeypatch.setattr("lutfuse.transforms.storage.files.read_bytes", read)
    return held


@pytest.mark.parametrize(
    ("weights", "card"),
    [
        ("/a/x.safetensors", "/a/x.json"),
        ("x.safetensors", "x.json"),
        ("gs://b/w.d/x", "gs://b/w.d/x.json"),
        ("s3://b/x.v2.safetensors", "s3://b/x.v2.json"),
    ],
)
def test_the_json_is_beside_the_tensors(weights, card):
    assert weights_files(weights) == (weights, card)


def test_shipped_local_and_stored_weights_are_one_model(objects, tmp_path):
    for end in (".safetensors", ".json"):
        shutil.copy(SHIPPED.with_suffix(end), tmp_path / f"x{end}")
    names = (None, f"{tmp_path}/x.safetensors", "gs://b/w/x.safetensors")
    assert {load_predictor(name).model_id for name in names} == {Predictor.load().model_id}


def test_stored_weights_of_another_hash_are_refused_under_their_own_name(objects):
    card = json.loads(objects["gs://b/w/x.json"]) | {"sha256": "0" * 64}
    objects["gs://b/w/x.json"] = json.dumps(card).encode()
    with pytest.raises(ValueError, match=r"^gs://b/w/x.safetensors has sha256 .* its JSON says 000000000000"):
        load_predictor("gs://b/w/x.safetensors")


def test_stored_weights_without_their_json_are_a_missing_file(objects):
    del objects["gs://b/w/x.json"]
    with pytest.raises(FileNotFoundError, match="gs://b/w/x.json"):
        load_predictor("gs://b/w/x.safetensors")
