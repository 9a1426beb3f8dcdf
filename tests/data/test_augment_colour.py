"""Changes of colour: drawn on the host, made on the device."""

import colorsys

import films
import jax
import numpy as np
import pytest
from PIL import Image

from vivit_jax.data.augment import random_augmentation
from vivit_jax.data.augment.colour import UNCHANGED, random_colours
from vivit_jax.data.config import AugmentConfig
from vivit_jax.errors import UserError
from vivit_jax.training.colours import recoloured

NAMES = ("brightness", "saturation", "contrast", "hue", "grey")
NEUTRAL = dict(zip(NAMES, UNCHANGED, strict=True))


@pytest.fixture(scope="module")
def clip():
    noise = np.random.default_rng(0).integers(0, 256, (3, 9, 11, 3), dtype=np.uint8)
    return np.concatenate([noise, films.scene(2, 9, 11)])


def changed(clip, **values):
    """One clip on the device, beside another that keeps its colours."""
    colours = np.float32([list((NEUTRAL | values).values()), UNCHANGED])
    result, kept = jax.jit(recoloured)(np.stack([clip, clip]), colours)
    np.testing.assert_array_equal(kept, clip)
    return np.asarray(result)


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
    del values["grey"]
    expected = by_definition(clip, **values)
    assert (expected != clip).mean() > 0.5
    np.testing.assert_allclose(changed(clip, **change), expected, atol=1)
    assert (changed(clip, **change) != expected).mean() < 0.05  # ties, which float32 may round to the other side


def test_what_one_step_pushes_out_of_range_another_may_bring_back():
    bright = np.full((1, 4, 4, 3), 240, np.uint8)
    bright[:, :2] = 0
    jittered = changed(bright, brightness=0.12, contrast=0.6)[0, :, 0, 0]
    mean = 120 / 255 + 0.12
    np.testing.assert_allclose(jittered[[0, -1]], 255 * (mean + 0.6 * np.array([-120, 120]) / 255), atol=1)


def test_draws_stay_within_the_original_ranges_times_the_strength():
    for strength in (1.0, 0.5):
        augment = AugmentConfig(colour_jitter=1.0, colour_strength=strength)
        draws = np.stack([random_colours(np.random.default_rng(seed), augment) for seed in range(400)])
        values = (draws[:, :4] - UNCHANGED[:4]) / (strength * np.array([32 / 255, 0.4, 0.4, 0.2]))
        assert (abs(values).max(axis=0) > 0.95).all() and abs(values).max() <= 1 + 1e-6
        assert (abs(values.mean(axis=0)) < 0.1).all()


def test_greyscale_is_the_luminance(clip):
    expected = np.stack([np.asarray(Image.fromarray(frame).convert("L").convert("RGB")) for frame in clip])
    np.testing.assert_allclose(changed(clip, grey=1.0).astype(int), expected, atol=1)


def test_colours_change_as_often_as_asked():
    augment = AugmentConfig(colour_jitter=0.8, greyscale=0.1)
    drawn = np.stack([random_augmentation(np.random.default_rng(seed), augment, 32, (24, 24)).colours for seed in range(1000)])
    assert (drawn[:, :4] != np.float32(UNCHANGED[:4])).any(axis=1).sum() == pytest.approx(800, abs=40)
    assert drawn[:, 4].sum() == pytest.approx(100, abs=30)


def test_colours_leave_the_other_draws_as_they_were():
    def drawn(**options):
        return random_augmentation(np.random.default_rng(7), AugmentConfig(scale_jitter=(0.9, 1.3), **options), 32, (24, 24))

    everything, jitter, nothing = drawn(colour_jitter=1.0, greyscale=1.0), drawn(colour_jitter=1.0), drawn()
    assert everything.geometry == nothing.geometry
    np.testing.assert_array_equal(everything.colours, [*jitter.colours[:4], 1])
    np.testing.assert_array_equal(nothing.colours, np.float32(UNCHANGED))


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
