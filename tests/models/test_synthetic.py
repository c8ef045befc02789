import cv2
import numpy as np
import pytest

from lutfuse.models.interior import light, shapes, textures
from lutfuse.models.interior.outside import Outside
from lutfuse.models.metrics.pixels import clipped_shares, psnr
from lutfuse.models.synthetic import (
    FULL_WELL,
    READ_NOISE,
    expose,
    reference,
    render_scene,
    synthesise_bracket,
)

SIZE = (160, 90)


@pytest.fixture(scope="module")
def bracket():
    return synthesise_bracket(*SIZE, seed=3)


@pytest.fixture(scope="module")
def radiance():
    return render_scene(*SIZE, seed=3)


# --- the bracket ----------------------------------------------------------------------------------------


def test_bracket_has_one_frame_an_ev_and_a_reference(bracket):
    assert bracket.evs == (-3.0, 0.0, 3.0)
    for image in (*bracket.exposures, bracket.reference):
        assert image.shape == (90, 160, 3)
        assert image.dtype == np.uint8


def test_more_light_makes_every_region_brighter():
    frames = synthesise_bracket(64, 48, evs=range(-4, 5), seed=1).exposures
    regions = np.array([cv2.resize(f, (4, 3), interpolation=cv2.INTER_AREA) for f in frames], np.int64)
    assert len(frames) == 9
    assert (np.diff(regions, axis=0) >= 0).all()


def test_scene_spans_about_fourteen_stops(radiance):
    luma = radiance @ np.float32([0.2126, 0.7152, 0.0722])
    low, high = np.percentile(luma, [0.05, 99.95])
    assert 12 < np.log2(high / low) < 17


def test_no_single_frame_shows_both_the_room_and_the_view(bracket):
    dark, _, bright = bracket.exposures
    assert np.median(dark) < 40  # the room is lost
    assert clipped_shares(bright)[1] > 0.08  # the view is lost
    assert clipped_shares(dark)[1] < 0.03  # but the dark frame has it
    assert np.median(bright) > 90  # and the bright one has the room


def test_reference_is_better_exposed_than_any_frame(bracket):
    lost = [np.mean((v < 12) | (v > 249)) for v in (*bracket.exposures, bracket.reference)]
    assert min(lost[:-1]) > 0.08
    assert lost[-1] < 0.03
    assert 80 < np.median(bracket.reference) < 160


def test_16_bit_bracket_is_the_8_bit_one_with_finer_steps(bracket):
    wide = synthesise_bracket(*SIZE, seed=3, bit_depth=16)
    for fine, coarse in zip(
        [*wide.exposures, wide.reference], [*bracket.exposures, bracket.reference], strict=True
    ):
        assert fine.dtype == np.uint16
        assert np.abs(fine / 257 - coarse).max() <= 0.51
        assert len(np.unique(fine)) > 256


# --- seeds ----------------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_bracket_on_any_number_of_threads():
    threads = cv2.getNumThreads()
    try:
        brackets = []
        for count in (1, 4):
            cv2.setNumThreads(count)
            brackets.append(synthesise_bracket(96, 64, seed=11))
    finally:
        cv2.setNumThreads(threads)
    first, second = ([*b.exposures, b.reference] for b in brackets)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_is_another_room():
    pictures = [synthesise_bracket(48, 27, seed=seed).reference for seed in range(4)]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert psnr(one, other) < 25


def test_one_seed_is_one_room_at_any_size():
    large, small = render_scene(160, 90, seed=5), render_scene(80, 45, seed=5)
    other = render_scene(80, 45, seed=6)
    halved = cv2.resize(large, (80, 45), interpolation=cv2.INTER_AREA)
    error = [np.median(np.abs(np.log2(halved / v))) for v in (small, other)]
    assert error[0] < 0.12  # stops
    assert error[1] > 2 * error[0]


def test_a_frame_does_not_depend_on_the_others():
    few = synthesise_bracket(48, 32, evs=(-2, 1), seed=2)
    many = synthesise_bracket(48, 32, evs=(-2, 1, 4), seed=2)
    for one, other in zip(few.exposures, many.exposures[:2], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (17, 90), (200, 16)])
def test_any_size_and_shape_renders(width, height):
    scene = render_scene(width, height, seed=0)
    assert scene.shape == (height, width, 3)
    assert scene.dtype == np.float32
    assert np.isfinite(scene).all()
    assert (scene > 0).all()
    assert reference(scene).shape == scene.shape


# --- the camera -----------------------------------------------------------------------------------------


def test_camera_saturates_at_full_light_and_is_black_without():
    rng = np.random.default_rng(0)
    assert (expose(np.full((8, 8, 3), 2, np.float32), 0, rng) == 255).all()
    assert expose(np.zeros((64, 64, 3), np.float32), 0, rng).mean() < 6
    steps = np.linspace(0, 1, 300, dtype=np.float32).reshape(100, 1, 3)
    curve = expose(steps, 0, _Silent(), bit_depth=16).ravel().astype(np.int64)
    assert (np.diff(curve) > 0).all()
    assert curve[0] == 0
    assert curve[-1] == 65535


def test_noise_has_the_spread_of_photons_and_electronics():
    light = np.float32(0.25)
    flat = np.full((200, 200, 3), light)
    noisy = expose(flat, 0, np.random.default_rng(1), bit_depth=16).astype(np.float64)
    around = np.float32([[[light * 0.99] * 3, [light * 1.01] * 3]])
    low, high = expose(around, 0, _Silent(), bit_depth=16)[0, :, 0].astype(np.float64)
    slope = (high - low) / (0.02 * light)
    electrons = noisy.std() / slope * FULL_WELL
    assert electrons == pytest.approx(np.sqrt(light * FULL_WELL + READ_NOISE**2), rel=0.03)


def test_one_stop_more_is_twice_the_light():
    scene = np.linspace(0.01, 0.3, 60, dtype=np.float32).reshape(20, 1, 3)
    np.testing.assert_array_equal(expose(scene, 1, _Silent()), expose(2 * scene, 0, _Silent()))


class _Silent(np.random.Generator):
    """A source of noise without noise."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        return np.zeros(size, dtype)


# --- the renderer ---------------------------------------------------------------------------------------

GREY = shapes.Material(textures.plain((0.5, 0.5, 0.5)))


def rays_from(origin, width=41, height=31):
    dx = np.linspace(-0.5, 0.5, width, dtype=np.float32)
    dy = np.linspace(0.4, -0.4, height, dtype=np.float32)
    return shapes.Rays(origin, dx, dy, np.ones(width, np.float32))


def test_ball_is_hit_where_geometry_says():
    rays = rays_from((0.0, 1.0, 0.0))
    depth = np.full((31, 41), np.inf, np.float32)
    hits = shapes.ball((0.1, 1.1, 3.0), 0.6, GREY).hit(rays, depth)
    way = np.stack(np.broadcast_arrays(rays.dx, rays.dy[:, None], rays.dz), axis=-1).astype(np.float64)
    to_centre = np.array([0.1, 0.1, 3.0])
    a, b, c = (way**2).sum(-1), way @ to_centre, to_centre @ to_centre - 0.36
    inside = b * b - a * c > 1e-9
    assert set(hits.pixels) == set(np.flatnonzero(inside))
    expected = (b - np.sqrt(np.maximum(b * b - a * c, 0))) / a
    np.testing.assert_allclose(hits.depth, expected.ravel()[hits.pixels], atol=2e-3)
    outward = (hits.point - np.array([[0.1], [1.1], [3.0]])) / 0.6
    np.testing.assert_allclose(hits.normal, outward, atol=5e-3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_rectangle_is_hit_where_geometry_says(axis):
    rays = rays_from((0.1, 0.2, 0.3))
    at, low, high = (
        (0.6, (1.213, 0.017), (2.507, 0.611)),
        (-0.2, (-0.313, 1.017), (0.407, 2.011)),
        (2.2, (-0.413, 0.017), (0.507, 0.911)),
    )[axis]
    flat = shapes.Flat(axis, at, low, high, -1, GREY)
    hits = flat.hit(rays, np.full((31, 41), np.inf, np.float32))
    way = np.stack(np.broadcast_arrays(rays.dx, rays.dy[:, None], rays.dz), axis=-1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (at - rays.origin[axis]) / way[..., axis]
        point = np.asarray(rays.origin) + t[..., None] * way
    u, v = (point[..., i] for i in shapes.PLANES[axis])
    expected = (t > 0) & (u >= low[0]) & (u < high[0]) & (v >= low[1]) & (v < high[1])
    assert set(hits.pixels) == set(np.flatnonzero(expected))
    np.testing.assert_allclose(hits.point.T, point.reshape(-1, 3)[hits.pixels], atol=1e-5)


def test_nearer_things_hide_what_is_behind_them():
    rays = rays_from((0.0, 0.0, 0.0))
    flat = shapes.Flat(2, 2.0, (-9, -9), (9, 9), -1, GREY)
    depth = np.full((31, 41), np.inf, np.float32)
    depth[:10] = 1.0
    assert set(flat.hit(rays, depth).rows) == set(range(10, 31))
    assert flat.hit(rays, np.ones_like(depth)) is None
    assert shapes.ball((0, 0, 3.0), 0.5, GREY).hit(rays, np.ones_like(depth)) is None


def test_boxes_block_light_only_on_its_way():
    caster = np.float32([[-1, -1, 2, 1, 1, 3]])
    origin = np.float32([[0, 5, 0], [0, 0, 0], [0, 0, 2.5]])  # in front, beside, inside
    ahead = np.float32([[0], [0], [1]])
    np.testing.assert_array_equal(light.blocked(origin, ahead, caster, 10), [True, False, True])
    np.testing.assert_array_equal(light.blocked(origin, ahead, caster, 1.9), [False, False, True])
    np.testing.assert_array_equal(light.blocked(origin, -ahead, caster, 10), [False, False, True])


def test_sun_draws_the_window_on_the_floor():
    room = bare_room(sun=np.float32([0, 0.6, 0.8]))
    z = np.linspace(0.1, 3.9, 39, dtype=np.float32)
    floor = np.stack([0 * z, 0 * z, z])
    lit, share = room.sun_on(floor, np.float32([[0], [1], [0]]))
    # y = (4 - z) · 0.75 must lie between 1 and 2, and off the crossbar at 1.5.
    height = (4 - z) * 0.75
    full = (height > 1.02) & (height < 1.98) & (np.abs(height - 1.5) > 0.06)
    bright = lit[share > 0.59]
    assert set(bright) == set(np.flatnonzero(full))
    np.testing.assert_allclose(share[share > 0.59], 0.6, atol=1e-3)
    shaded, _ = room.sun_on(floor, np.float32([[0], [-1], [0]]))
    assert not shaded.size


def test_window_light_equals_its_solid_angle():
    room = bare_room(sun=np.float32([0, 0.6, 0.8]), lamplight=np.zeros(3, np.float32))
    point, normal = np.float32([[0], [1.5], [0]]), np.float32([[0], [0], [1]])
    found = room._direct(point, normal, quality=24)[0]
    y, x = np.mgrid[1:2:401j, -1:1:401j]
    square = x**2 + (y - 1.5) ** 2 + 16
    form = (16 / square**2).mean() * 2 / np.pi
    middle = (light.SKYLIGHT + light.GROUNDLIGHT) / 2
    np.testing.assert_allclose(found, form * middle, rtol=0.03)


def bare_room(sun, lamplight=(1.0, 1.0, 1.0)):
    return light.Light(
        room=(-2, 2, 0, 3, 0, 4),
        walls=np.full((6, 3), 0.5, np.float32),
        window=(-1, 1, 1, 2),
        pane=4,
        bars=(np.float32([]), np.float32([1.5])),
        bar=0.02,
        sun=sun,
        sunlight=np.ones(3, np.float32),
        lamp=(1, 1, 1),
        lamplight=np.float32(lamplight),
        casters=np.empty((0, 6), np.float32),
    )


def test_view_is_sampled_where_it_was_painted():
    painted = np.zeros((4, 8, 3), np.float32)
    painted[0, 7] = 5  # top right
    view = Outside(painted, (-1.0, 1.0, 0.0, 1.0))
    corner = view.at(np.float32([0.99, -0.99]), np.float32([0.99, 0.01]))
    np.testing.assert_allclose(corner, [[5, 5, 5], [0, 0, 0]])


def test_long_lists_of_samples_are_looked_up_like_short_ones():
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    column = np.tile(np.float32([0, 1, 2.5, 3]), 600)
    row = np.tile(np.float32([0, 2, 1, 1.5]), 600)
    expected = np.tile(np.float32([0, 9, 6.5, 9]), 600)
    np.testing.assert_allclose(textures.lookup(table, column, row), expected, atol=0.05)


# --- bad input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height", "seed"), [(0, 9, 0), (9, 0, 0), (9, 9, -1)])
def test_impossible_scenes_are_refused_with_the_rule(width, height, seed):
    with pytest.raises(ValueError, match=f"scene {seed} of {width}×{height} px: seeds start at 0"):
        render_scene(width, height, seed)


def test_other_bit_depths_are_refused():
    with pytest.raises(ValueError, match="bit_depth 12: images have 8 or 16 bits"):
        synthesise_bracket(4, 4, bit_depth=12)
