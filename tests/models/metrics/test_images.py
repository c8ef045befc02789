"""The copies that structural scores of a job are taken on."""

import numpy as np
import pytest

from lutfuse.models.metrics.images import proxy


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((2160, 3840), (540, 960)),
        ((4001, 2999), (1000, 749)),
        ((1025, 10), (512, 5)),
        ((1, 5000), (1, 625)),
        ((1024, 700), (1024, 700)),
    ],
)
def test_proxy_fits_the_long_side_and_keeps_the_shape(size, expected):
    small = proxy(np.full((*size, 3), 65535, np.uint16))
    assert small.shape == (*expected, 3)
    assert small.dtype == np.uint8
    assert (small == 255).all()


def test_proxy_never_enlarges_and_averages_areas(smooth_image):
    image = smooth_image(11, 40, 60)
    np.testing.assert_array_equal(proxy(image, 60), image)
    means = image.reshape(10, 4, 15, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(proxy(image, 15), means, atol=1)
