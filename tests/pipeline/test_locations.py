"""Paths and URIs of the command line: made absolute for workers, and weights that must be there."""

import pytest

from lutfuse.pipeline.arguments import UsageError
from lutfuse.pipeline.locations import absolute, check_weights
from lutfuse.transforms.storage import files


def test_local_paths_become_absolute_and_uris_lose_their_last_slash(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("a/b") == f"{tmp_path}/a/b"
    assert absolute("/a/b") == "/a/b"
    assert absolute("gs://b/a/") == "gs://b/a"


def test_weights_need_their_json(tmp_path):
    check_weights(None)
    weights = tmp_path / "mine.safetensors"
    with pytest.raises(
        UsageError, match=r"--weights .*mine.safetensors is missing; name a .safetensors file"
    ):
        check_weights(str(weights))
    weights.touch()
    with pytest.raises(UsageError, match=r"mine.json is missing; name a .safetensors file and keep its JSON"):
        check_weights(str(weights))
    (tmp_path / "mine.json").touch()
    check_weights(str(weights))


def test_weights_that_cannot_be_looked_for_are_wrong_usage(monkeypatch):
    def forbidden(uri):
        raise PermissionError(13, "access denied", uri)

    monkeypatch.setattr(files, "size", forbidden)
    with pytest.raises(UsageError, match=r"gs://b/x.safetensors cannot be read \(PermissionError: .*denied"):
        check_weights("gs://b/x.safetensors")
