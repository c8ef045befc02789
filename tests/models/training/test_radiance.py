"""Brackets rendered from radiance images."""

import cv2
import numpy as np
import pytest

from lutfuse.models.training import radiance


def test_a_panorama_view_ahead_shows_its_middle():
    panorama = np.zeros((64, 128, 3), np.float32)
    panorama[28:36, 60:68] = 1
    view = radiance.perspective_view(panorama, 0.0, 0.0, np.pi / 2, 32)
    assert view[16, 16].min() > 0.9
    assert view[0].max() == 0
    turned = radiance.perspective_view(panorama, np.pi, 0.0, np.pi / 2, 32)
    assert turned.max() == 0


@pytest.mark.parametrize("size", [(40, 80), (70, 50)])
def test_rendered_brackets_rise_in_exposure_and_repeat_with_their_seed(size):
    light = np.random.default_rng(0).lognormal(0, 2, (*size, 3)).astype(np.float32)
    one, again, other = (radiance.render_bracket(light, "x", view, 32, seed=5) for view in (0, 0, 1))
    means = one.frames.mean((1, 2, 3))
    assert (np.diff(means) > 0).all()
    assert one.frames.shape == (9, 32, 32, 3)
    assert one.reference is not None
    assert np.array_equal(one.frames, again.frames)
    assert not np.array_equal(one.frames, other.frames)
    assert one.origin == other.origin != one.name


def test_exposure_is_monotonic_and_clips_at_white():
    light = np.linspace(0, 4, 50, dtype=np.float32)[:, None, None]
    code = radiance.camera_response(light, 0.0, 2.2, 0.3)
    assert (np.diff(code[:, 0, 0]) >= 0).all()
    assert code.max() == 1
    assert (radiance.camera_response(light, 1.0, 2.2, 0.3) >= code).all()


def test_radiance_files_are_read_in_rgb_and_others_refused(tmp_path):
    image = np.zeros((4, 8, 3), np.float32)
    image[..., 2] = 3  # red in OpenCV's order
    cv2.imwrite(str(tmp_path / "a.hdr"), image)
    assert radiance.read_radiance(tmp_path / "a.hdr")[0, 0].tolist() == [3, 0, 0]
    (tmp_path / "b.hdr").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"b\.hdr"):
        radiance.read_radiance(tmp_path / "b.hdr")
