"""Prepared scenes: built once, again when broken, never mistaken for another's."""

import numpy as np

from lutfuse.models.training.scene_cache import cached, fingerprint
from lutfuse.models.training.scenes import Scene


def test_a_prepared_scene_is_built_once_and_a_broken_file_again(tmp_path, noise_scene):
    calls = []

    def build() -> Scene:
        calls.append(1)
        return noise_scene(reference=False)

    path = tmp_path / "s.npz"
    first, second = cached(path, build), cached(path, build)
    assert len(calls) == 1
    assert np.array_equal(first.frames, second.frames)
    assert second.reference is None
    path.write_bytes(b"torn")
    cached(path, build)
    assert len(calls) == 2


def test_the_fingerprint_follows_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    before = fingerprint([tmp_path / "a"])
    (tmp_path / "a").write_bytes(b"22")
    assert fingerprint([tmp_path / "a"]) != before
