import itertools

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import scipy.stats

from vivit_jax.data.augment import random_augmentation
from vivit_jax.data.augment.volume import Move, Rotation, random_move, random_rotation
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


@pytest.mark.parametrize(("axis", "plane"), [(0, (1, 2)), (1, (2, 0)), (2, (0, 1))])
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarters_of_a_turn_are_those_of_numpy(axis, plane, quarters):
    cube = VOLUME[:5, :5, :5]
    vector = np.zeros(3)
    vector[axis] = quarters * np.pi / 2
    np.testing.assert_array_equal(Rotation(tuple(vector))(cube), np.rot90(cube, quarters, plane))


def test_a_grey_clip_is_rotated_as_each_of_its_channels():
    rotation = Rotation((0.3, -0.1, 0.2))
    coloured = np.stack([VOLUME[..., 0], VOLUME[..., 0], VOLUME[..., 1]], axis=-1)
    grey = np.repeat(VOLUME[..., :1], 3, axis=-1)
    np.testing.assert_array_equal(rotation(grey), np.repeat(rotation(coloured)[..., :1], 3, axis=-1))


def test_a_rotation_interpolates_as_a_loop_does():
    vector = np.radians(25) * np.array([2, -1, 2]) / 3
    rotated = Rotation(tuple(vector))(VOLUME)
    cross = np.array([[0, -vector[2], vector[1]], [vector[2], 0, -vector[0]], [-vector[1], vector[0], 0]])
    matrix = scipy.linalg.expm(cross)
    centre = (np.array(VOLUME.shape[:3]) - 1) / 2
    for place in itertools.product(*map(range, VOLUME.shape[:3])):
        source = np.clip(matrix.T @ (place - centre) + centre, 0, np.array(VOLUME.shape[:3]) - 1)
        low = np.minimum(source.astype(int), np.array(VOLUME.shape[:3]) - 2)
        expected = sum(
            np.prod([(source - low)[i] if corner[i] else (1 - source + low)[i] for i in range(3)])
            * VOLUME[tuple(low + corner)].astype(float)
            for corner in itertools.product((0, 1), repeat=3)
        )
        np.testing.assert_allclose(rotated[place], expected, atol=0.5001)


def test_rotations_are_drawn_in_all_directions_and_as_far_as_asked():
    vectors = np.array([random_rotation(np.random.default_rng(seed), AugmentConfig(rotation=30.0)).vector for seed in range(2000)])
    angles = np.degrees(np.linalg.norm(vectors, axis=1))
    assert scipy.stats.kstest(angles, "uniform", (0, 30)).pvalue > 0.01
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for axis in range(3):  # a coordinate of a uniform direction is uniform (Archimedes)
        assert scipy.stats.kstest(directions[:, axis], "uniform", (-1, 2)).pvalue > 0.01


def test_other_draws_stay_as_they_were():
    options = {"randaugment_layers": 2, "erasing": 0.5, "colour_jitter": 0.8, "scale_jitter": (0.9, 1.33)}
    for seed in range(20):
        plain, moved = (
            random_augmentation(np.random.default_rng(seed), AugmentConfig(**options, **more), 40, (24, 32))
            for more in ({}, {"flip_time": 1.0, "shift": 1, "rotation": 20.0})
        )
        assert len(moved.transforms) == len(plain.transforms) + 2
        assert moved.geometry == plain.geometry
        np.testing.assert_array_equal(moved.colours, plain.colours)


@pytest.mark.parametrize(("field", "value"), [("flip_time", 1.5), ("flip_vertical", -0.1), ("shift", -1), ("rotation", 181.0)])
def test_what_cannot_be_is_refused(field, value):
    with pytest.raises(UserError, match=f"augment.{field}"):
        AugmentConfig(**{field: value})
