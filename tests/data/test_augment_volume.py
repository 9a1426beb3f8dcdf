import itertools

import numpy as np
import pytest
import scipy.ndimage

from vivit_jax.data.augment import random_augmentation
from vivit_jax.data.augment.volume import Move, random_move
from vivit_jax.data.config import AugmentConfig
from vivit_jax.errors import UserError

VOLUME = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("backwards", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize("shift", [(0, 0, 0), (1, -2, 3), (-4, 5, -6)])
def test_a_move_is_a_flip_and_a_shift_of_scipy(backwards, shift):
    axes = [axis for axis in range(3) if backwards[axis]]
    expected = scipy.ndimage.shift(np.flip(VOLUME, axes), (*shift, 0), order=0, mode="nearest")
    np.testing.assert_array_equal(Move(backwards, shift)(VOLUME), expected)


def test_moves_are_drawn_as_often_and_as_far_as_asked():
    augment = AugmentConfig(flip_vertical=0.5, flip_time=0.25, shift=2)
    moves = [random_move(np.random.default_rng(seed), augment) for seed in range(2000)]
    shares = np.mean([move.backwards for move in moves], axis=0)
    np.testing.assert_allclose(shares, (0.25, 0.5, 0), atol=0.04)
    counts = np.stack([np.bincount(np.array([move.shift for move in moves])[:, axis] + 2, minlength=5) for axis in range(3)])
    np.testing.assert_allclose(counts / 2000, 0.2, atol=0.03)


def test_other_draws_stay_as_they_were():
    options = {"randaugment_layers": 2, "erasing": 0.5, "colour_jitter": 0.8, "scale_jitter": (0.9, 1.33)}
    for seed in range(20):
        plain, moved = (
            random_augmentation(np.random.default_rng(seed), AugmentConfig(**options, **more), 40, (24, 32))
            for more in ({}, {"flip_time": 1.0, "shift": 1})
        )
        assert len(moved.transforms) == len(plain.transforms) + 1
        assert moved.geometry == plain.geometry
        np.testing.assert_array_equal(moved.colours, plain.colours)


@pytest.mark.parametrize(("field", "value"), [("flip_time", 1.5), ("flip_vertical", -0.1), ("shift", -1)])
def test_what_cannot_be_is_refused(field, value):
    with pytest.raises(UserError, match=f"augment.{field}"):
        AugmentConfig(**{field: value})
