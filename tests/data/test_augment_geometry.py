import dataclasses

import films
import numpy as np
import pytest

from vivit_jax.data.augment import random_augmentation
from vivit_jax.data.augment.erasing import Erasing, random_erasing
from vivit_jax.data.augment.geometry import Box, Geometry, ScaledCrop
from vivit_jax.data.config import AugmentConfig
from vivit_jax.data.video.geometry import Framing
from vivit_jax.errors import UserError

CROP = (24, 32)


def drawn(seed, **options):
    return random_augmentation(np.random.default_rng(seed), AugmentConfig(**options), 40, CROP).geometry


def shape_of(window, height, width):
    rows, columns = window(height, width)
    assert 0 <= rows.start < rows.stop <= height
    assert 0 <= columns.start < columns.stop <= width
    return rows.stop - rows.start, columns.stop - columns.start


def test_joint_scale_jitter_keeps_the_aspect_ratio_and_independent_does_not():
    """A frame of 400 x 500 whose short side of 40 becomes 36 to 53.2: a crop of 24 x 32 is of 24 / 0.1 / factor rows."""
    for independent in (False, True):
        windows = [drawn(seed, scale_jitter=(0.9, 1.33), scale_jitter_independent=independent).window for seed in range(300)]
        sizes = np.array([shape_of(window, 400, 500) for window in windows])
        factors = np.array(CROP) / (0.1 * sizes)
        assert factors.min() == pytest.approx(0.9, abs=0.03)
        assert factors.max() == pytest.approx(1.33, abs=0.03)
        correlation = np.corrcoef(factors.T)[0, 1]
        assert abs(correlation) < 0.2 if independent else correlation > 0.98


def test_height_is_jittered_alike_whether_or_not_width_has_its_own_factor():
    for seed in range(20):
        joint, independent = (drawn(seed, scale_jitter=(0.9, 1.33), scale_jitter_independent=value) for value in (False, True))
        assert dataclasses.replace(independent.window, stretch=1.0) == joint.window
        assert independent.flip == joint.flip


def test_a_stretched_frame_still_holds_the_crop():
    assert shape_of(ScaledCrop(24, 0.5, CROP, (0.9, 0.9)), 24, 40)[1] <= 40


def test_a_random_resized_crop_has_the_area_and_aspect_asked_for():
    windows = [drawn(seed, random_resized_crop=(0.2, 0.4)).window for seed in range(400)]
    sizes = np.array([shape_of(window, 600, 700) for window in windows])
    areas, aspects = sizes.prod(1) / (600 * 700), sizes[:, 1] / sizes[:, 0] / (32 / 24)
    for values, low, high in ((areas, 0.2, 0.4), (aspects, 3 / 4, 4 / 3)):
        assert low - 0.01 < values.min() < low + 0.03
        assert high - 0.03 < values.max() < high + 0.01
    tops = [window(600, 700)[0].start for window in windows]
    assert min(tops) < 20
    assert max(tops) > 200


def test_a_box_that_does_not_fit_is_cut_to_the_frame():
    assert shape_of(Box(1.0, 1.0, (0.5, 0.5)), 100, 400) == (100, 200)
    assert shape_of(Box(1e-9, 1.0, (0.99, 0.99)), 9, 9) == (1, 1)


def test_a_geometry_cuts_its_window_out_and_resizes_and_flips_it():
    frame = films.scene(1, 48, 64)[0]
    geometry = Geometry(Box(0.25, 32 / 24, (0.0, 0.999)), CROP, True)
    assert geometry(48, 64) == Framing(slice(0, 24), slice(32, 64), CROP, True)
    np.testing.assert_array_equal(geometry(48, 64).show([frame[:24, 32:]], 1)[0], frame[:24, 32:][:, ::-1])


def test_erasing_covers_one_box_in_all_frames_and_nothing_else():
    clip = films.scene(3, 48, 64)
    before = clip.copy()
    erased = Erasing(Box(0.25, 64 / 48, (0.0, 0.999)), seed=1)(clip)
    np.testing.assert_array_equal(clip, before)
    box = erased[:, :24, 32:]
    assert (box == box[:1]).all()
    assert box.std() == pytest.approx(255 / 12**0.5, rel=0.1)
    untouched = np.ones(clip.shape, bool)
    untouched[:, :24, 32:] = False
    np.testing.assert_array_equal(erased[untouched], clip[untouched])


def test_erased_boxes_have_the_areas_and_aspects_of_the_paper():
    sizes = np.array([shape_of(random_erasing(np.random.default_rng(seed)).box, 900, 900) for seed in range(500)])
    areas = sizes.prod(1) / 900**2
    assert 0.018 < areas.min() < 0.03
    assert 0.3 < areas.max() < 0.34
    aspects = sizes[:, 1] / sizes[:, 0]
    assert 0.29 < aspects.min() < 0.35
    assert 2.9 < aspects.max() < 3.45


def test_erasing_comes_last_as_often_as_asked_and_leaves_other_draws_as_they_were():
    def augmented(seed, erasing):
        augment = AugmentConfig(erasing=erasing, colour_jitter=1.0, greyscale=1.0, randaugment_layers=1)
        return random_augmentation(np.random.default_rng(seed), augment, 40, CROP)

    last = [augmented(seed, 0.25).transforms[-1] for seed in range(400)]
    assert sum(isinstance(transform, Erasing) for transform in last) == pytest.approx(100, abs=25)
    assert augmented(3, 1.0).transforms[:-1] == augmented(3, 0.0).transforms
    assert augmented(3, 1.0).geometry == augmented(3, 0.0).geometry


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"random_resized_crop": (0.0, 1.0)}, "random_resized_crop"),
        ({"random_resized_crop": (0.5, 1.5)}, "random_resized_crop"),
        ({"random_resized_crop": (0.5, 1.0), "scale_jitter": (0.9, 1.3)}, "random_resized_crop"),
        ({"erasing": 2.0}, "erasing"),
        ({"repeats": 0}, "repeats"),
    ],
)
def test_impossible_values_are_refused(wrong, field):
    with pytest.raises(UserError, match=field):
        AugmentConfig(**wrong)
