import time
import tracemalloc

import cv2
import numpy as np
import pytest

from lutfuse.models.synthetic.painter import Card, Painter
from lutfuse.models.synthetic.scene import render_radiance

LUMA = np.float32([0.2126, 0.7152, 0.0722])


@pytest.fixture(scope="module")
def room():
    return render_radiance(320, 180, seed=3)


def test_scene_spans_about_fourteen_stops(room):
    low, high = np.percentile(room @ LUMA, [0.05, 99.95])
    assert 11 < np.log2(high / low) < 17


def test_calls_agree_and_seeds_differ():
    rooms = [render_radiance(96, 54, seed) for seed in range(4)]
    np.testing.assert_array_equal(render_radiance(96, 54, 2), rooms[2])
    for i, one in enumerate(rooms):
        for other in rooms[:i]:
            assert np.median(np.abs(np.log2(one / other))) > 0.15  # stops


def test_one_seed_is_one_room_at_any_size(room):
    small, other = (render_radiance(80, 45, seed) for seed in (3, 4))
    reduced = cv2.resize(room, (80, 45), interpolation=cv2.INTER_AREA)
    error = [np.median(np.abs(np.log2(reduced / v))) for v in (small, other)]
    assert error[0] < 0.15  # stops
    assert error[1] > 3 * error[0]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (17, 90), (200, 16)])
def test_any_size_and_shape_renders(width, height):
    scene = render_radiance(width, height, seed=0)
    assert scene.shape == (height, width, 3)
    assert scene.dtype == np.float32
    assert np.isfinite(scene).all()
    assert (scene > 0).all()


def test_nearly_everything_has_texture_and_some_of_it_colour():
    scene = np.log2(render_radiance(960, 540, seed=0))
    fine = np.abs(scene - cv2.GaussianBlur(scene, (0, 0), 2)).mean(axis=2)
    tiles = cv2.resize(fine, (32, 18), interpolation=cv2.INTER_AREA)
    assert np.mean(tiles > 0.003) > 0.95  # stops: a flat wall has none
    assert np.mean(tiles > 0.03) > 0.4  # bricks, books, leaves
    pure = scene.max(axis=2) - scene.min(axis=2) > 2.5
    assert 0.01 < pure.mean() < 0.5


def test_time_and_memory_stay_within_bounds():
    tracemalloc.start()
    start = time.process_time()
    scene = render_radiance(960, 540, seed=1)
    took, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * scene.nbytes + 40e6
    assert took < 6  # CPU seconds; about 0.5 without tracing


@pytest.mark.parametrize(("width", "height", "seed"), [(0, 9, 0), (9, 0, 0), (9, 9, -1)])
def test_impossible_scenes_are_refused_with_the_rule(width, height, seed):
    with pytest.raises(ValueError, match=f"scene {seed} of {width}×{height} px: seeds start at 0"):
        render_radiance(width, height, seed)


# --- the painter ----------------------------------------------------------------------------------------


def painter(width=60, height=40):
    return Painter(width, height, eye=(0, 1, 0), sun=(0, 0.75, 1), window=(-1.05, 1))


def grey(u, v, size):
    return np.full((*u.shape, 3), 0.5, np.float32)


@pytest.mark.parametrize(
    ("axis", "at", "low", "high"),
    [(2, 4.0, (-0.5, 0.3), (1.2, 1.9)), (1, 0.0, (-0.7, 3.1), (0.9, 5.0)), (0, 1.1, (2.5, 0.4), (5.0, 1.7))],
)
def test_card_is_painted_where_geometry_says_with_soft_edges(axis, at, low, high):
    camera = painter()
    camera.paint(Card(axis, at, low, high, lambda u, v, size: grey(u, v, size) * 2, lit=False))
    # Many rays a pixel, each met with the card's plane.
    fine = painter(60 * 16, 40 * 16)
    scale = camera.pixel / fine.pixel / 16
    way = np.stack(np.broadcast_arrays(fine.across * scale, (fine.up[:, None] + 0.08) * scale - 0.08, 1.0))
    point = np.float64([[[0]], [[1]], [[0]]]) + way * ((at - camera.eye[axis]) / way[axis])
    u, v = point[[2, 0, 0][axis]], point[[1, 2, 1][axis]]
    inside = (u > low[0]) & (u < high[0]) & (v > low[1]) & (v < high[1]) & (point[2] > 0)
    share = cv2.resize(np.float32(inside), (60, 40), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(camera.image[..., 0], share, atol=0.3)
    assert np.abs(camera.image[..., 0] - share).mean() < 0.01
    assert share.max() == 1


def test_sun_draws_the_window_on_the_floor_and_boxes_cast_shadows():
    camera = painter(300, 200)
    floor = Card(1, 0, (-3, 2), (3, 5), grey)
    camera.boxes.append(((-0.4, 0.1, 2), (0.4, 0.3, 5)))
    x = np.linspace(-2, 2, 401, dtype=np.float32)[None]
    z = np.full_like(x, 3.7)
    seen = camera._sunny(floor, x, np.zeros_like(x), z)[0] / camera.sun[1]
    # The ray meets the glass at a height of 1.29, in the lower row of panes.
    pane = np.abs((x[0] + 1.05) % 0.7 - 0.35) < 0.31
    lit = (np.abs(x[0]) < 1.0) & pane & (np.abs(x[0]) > 0.42)
    dark = (np.abs(x[0]) > 1.1) | (np.abs(x[0]) < 0.38)
    np.testing.assert_allclose(seen[lit], 1, atol=1e-5)
    assert not seen[dark].any()


def test_soft_light_is_the_share_of_the_view_that_shines():
    camera = painter(2400, 1800)
    camera.lights.append(Card(1, 2.0, (-0.5, 2.5), (0.5, 3.5), grey, shine=(3, 2, 1)))
    baked = camera._bake(Card(1, 0.0, (-0.01, 2.99), (0.01, 3.01), grey))
    y, x = np.mgrid[-0.5:0.5:201j, -0.5:0.5:201j]
    form = np.mean(4 / (np.pi * (x**2 + y**2 + 4) ** 2))  # of a square metre, 2 m above
    np.testing.assert_allclose(baked[0, 0], np.float32([3, 2, 1]) * form, rtol=0.03)


def test_boxes_block_light_only_on_its_way():
    camera = painter()
    camera.boxes.append(((-1, -1, 2), (1, 1, 3)))
    origin = np.float32([[0, 5, 0], [0, 0, 0], [0, 0, 2.5]])  # in front, beside, inside
    ahead = np.float32([[0], [0], [1]])
    np.testing.assert_array_equal(camera._blocked(origin, ahead, 10), [True, False, True])
    np.testing.assert_array_equal(camera._blocked(origin, ahead, 1.9), [False, False, True])
    np.testing.assert_array_equal(camera._blocked(origin, -ahead, 10), [False, False, True])
