"""The binding keeps a wrong call from reaching memory, even one that bypasses the checks in Python."""

import numpy as np
import pytest

from models.native import _native

SIZES = {"exposures": 2, "knots": 8, "cells": 4, "lut_sizes": 5, "sides": 6}


def call(threads: int = 1, **sizes: int) -> None:
    k, knots, cells, n, side = (SIZES | sizes).values()
    image, out = np.zeros((2, 1, side, 3), np.uint8)
    grid, lut = np.zeros((k, knots, cells, cells), np.float32), np.zeros((n, n, n, 3), np.float32)
    _native.fuse_cpu([image] * k, grid, lut, out, threads, _native.paths()[-1])


def test_every_limit_has_a_name() -> None:
    assert _native.limits.keys() == SIZES.keys()


@pytest.mark.parametrize("name", SIZES)
def test_the_kernel_accepts_its_limits_and_nothing_beyond(name: str) -> None:
    lowest, highest = _native.limits[name]
    for size in (lowest, highest):
        call(**{name: size})
    for size in (lowest - 1, highest + 1):
        with pytest.raises(ValueError, match="would have refused"):
            call(**{name: size})


def test_fewer_than_one_thread_are_refused() -> None:
    with pytest.raises(ValueError, match="threads below 1"):
        call(threads=0)
