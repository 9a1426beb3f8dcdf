import colorsys

import films
import numpy as np
import pytest
from PIL import Image

from vivit_jax.data.augment import random_augmentation
from vivit_jax.data.augment.colour import ColourJitter, greyscale, random_colour_jitter
from vivit_jax.data.config import AugmentConfig
from vivit_jax.errors import UserError

NEUTRAL = {"brightness": 0.0, "saturation": 1.0, "contrast": 1.0, "hue": 0.0}


@pytest.fixture(scope="module")
def clip():
    noise = np.random.default_rng(0).integers(0, 256, (3, 9, 11, 3), dtype=np.uint8)
    return np.concatenate([noise, films.scene(2, 9, 11)])


def by_definition(clip, brightness, saturation, contrast, hue):
    """The four steps, pixel by pixel, on the frame of [0, 1]."""
    result = []
    for frame in clip / 255 + brightness:
        pixels = [colorsys.rgb_to_hsv(*pixel) for pixel in frame.reshape(-1, 3)]
        frame = np.array([colorsys.hsv_to_rgb(h, min(1.0, s * saturation), v) for h, s, v in pixels])
        frame = (frame - frame.mean(0)) * contrast + frame.mean(0)
        pixels = [colorsys.rgb_to_hsv(*pixel) for pixel in frame]
        frame = np.array([colorsys.hsv_to_rgb((h + hue) % 1, s, v) for h, s, v in pixels])
        result.append(frame.reshape(clip.shape[1:]))
    return np.round(255 * np.clip(result, 0, 1))


@pytest.mark.parametrize(
    "change",
    [
        {"brightness": 0.12},
        {"brightness": -0.12, "saturation": 0.7},
        {"saturation": 0.6},
        {"saturation": 1.4},
        {"contrast": 0.6},
        {"hue": 0.2},
        {"hue": -0.13},
        {"brightness": 0.1, "saturation": 0.7, "contrast": 0.8, "hue": 0.15},
        {"brightness": 0.05, "saturation": 1.3, "contrast": 0.7, "hue": -0.2},
    ],
)
def test_jitter_is_brightness_saturation_contrast_hue_in_that_order(clip, change):
    values = NEUTRAL | change
    expected = by_definition(clip, **values)
    assert (expected != clip).mean() > 0.5
    np.testing.assert_allclose(ColourJitter(**values)(clip), expected, atol=1)


def test_a_neutral_jitter_changes_nothing(clip):
    np.testing.assert_array_equal(ColourJitter(**NEUTRAL)(clip), clip)


def test_what_one_step_pushes_out_of_range_another_may_bring_back():
    bright = np.full((1, 4, 4, 3), 240, np.uint8)
    bright[:, :2] = 0
    values = NEUTRAL | {"brightness": 0.12, "contrast": 0.6}
    jittered = ColourJitter(**values)(bright)[0, :, 0, 0]
    mean = 120 / 255 + 0.12
    np.testing.assert_allclose(jittered[[0, -1]], 255 * (mean + 0.6 * np.array([-120, 120]) / 255), atol=1)


def test_draws_stay_within_the_original_ranges_times_the_strength():
    for strength in (1.0, 0.5):
        draws = [random_colour_jitter(np.random.default_rng(seed), strength) for seed in range(400)]
        for field, centre, reach in (("brightness", 0, 32 / 255), ("saturation", 1, 0.4), ("contrast", 1, 0.4), ("hue", 0, 0.2)):
            values = (np.array([getattr(draw, field) for draw in draws]) - centre) / (strength * reach)
            assert 0.95 < abs(values).max() <= 1
            assert abs(values.mean()) < 0.1


def test_greyscale_is_the_luminance(clip):
    expected = np.stack([np.asarray(Image.fromarray(frame).convert("L").convert("RGB")) for frame in clip])
    np.testing.assert_allclose(greyscale(clip).astype(int), expected, atol=1)


def test_transforms_come_as_often_as_asked():
    augment = AugmentConfig(colour_jitter=0.8, greyscale=0.1)
    drawn = [random_augmentation(np.random.default_rng(seed), augment, 32, (24, 24)).transforms for seed in range(1000)]
    assert sum(any(isinstance(transform, ColourJitter) for transform in transforms) for transforms in drawn) == pytest.approx(800, abs=40)
    assert sum(greyscale in transforms for transforms in drawn) == pytest.approx(100, abs=30)


def test_colours_leave_the_other_draws_as_they_were():
    def drawn(**options):
        return random_augmentation(np.random.default_rng(7), AugmentConfig(scale_jitter=(0.9, 1.3), **options), 32, (24, 24))

    assert drawn(colour_jitter=1.0, greyscale=1.0).geometry == drawn().geometry
    assert drawn(colour_jitter=1.0, greyscale=1.0).transforms[0] == drawn(colour_jitter=1.0).transforms[0]
    assert drawn().transforms == ()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"colour_jitter": 1.2}, "colour_jitter"),
        ({"greyscale": -0.1}, "greyscale"),
        ({"colour_strength": 3.0}, "colour_strength"),
        ({"scale_jitter": (1.3, 0.9)}, "scale_jitter"),
    ],
)
def test_impossible_values_are_refused(wrong, field):
    with pytest.raises(UserError, match=field):
        AugmentConfig(**wrong)
