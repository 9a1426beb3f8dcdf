"""Every operation against PIL's own, on a clip whose frames lie below one another in one picture."""

import collections

import films
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from vivit_jax.data.augment import operations, random_augmentation, warps
from vivit_jax.data.augment.randaugment import GEOMETRIC, PHOTOMETRIC, Draw, Operation, random_operations
from vivit_jax.data.config import AugmentConfig
from vivit_jax.errors import UserError


@pytest.fixture(scope="module")
def clip():
    return np.concatenate([films.scene(3, 24, 32, seed=4), 60 + films.scene(1, 24, 32, seed=5) // 3])


def pil(clip, change):
    """A change of PIL's, made to the whole clip as one picture."""
    picture = Image.fromarray(clip.reshape(-1, *clip.shape[2:]))
    return np.asarray(change(picture)).reshape(clip.shape)


def pil_frames(clip, change):
    """A change of PIL's, made to each frame."""
    return np.stack([np.asarray(change(Image.fromarray(frame))) for frame in clip])


def assert_close(ours, expected, clip, tolerance):
    assert ours.dtype == np.uint8
    assert (expected != clip).mean() > 0.2
    np.testing.assert_allclose(ours.astype(int), expected, atol=tolerance)


EXACT = {
    "autocontrast": (operations.autocontrast, ImageOps.autocontrast),
    "equalise": (operations.equalise, ImageOps.equalize),
    "invert": (operations.invert, ImageOps.invert),
    **{
        f"posterise to {bits}": (lambda x, b=bits: operations.posterise(x, b), lambda x, b=bits: ImageOps.posterize(x, b))
        for bits in (1, 4, 6)
    },
    **{
        f"solarise from {level}": (lambda x, v=level: operations.solarise(x, v), lambda x, v=level: ImageOps.solarize(x, v))
        for level in (0, 60)
    },
}


@pytest.mark.parametrize("name", EXACT)
def test_operations_on_values_are_those_of_pil(clip, name):
    ours, theirs = EXACT[name]
    assert_close(ours(clip), pil(clip, theirs), clip, 1 if name == "autocontrast" else 0)


@pytest.mark.parametrize("factor", [0.0, 0.1, 1.9, 2.8])
def test_enhancements_are_those_of_pil(clip, factor):
    tolerance = 1 + abs(1 - factor)  # PIL rounds what it blends with, and then down
    for ours, theirs in ((operations.colour, ImageEnhance.Color), (operations.contrast, ImageEnhance.Contrast)):
        assert_close(ours(clip, factor), pil(clip, lambda x, t=theirs: t(x).enhance(factor)), clip, tolerance)
    assert_close(operations.brightness(clip, factor), pil(clip, lambda x: ImageEnhance.Brightness(x).enhance(factor)), clip, 1)


@pytest.mark.parametrize("factor", [0.1, 1.9, 3.7])
def test_sharpness_is_that_of_pil_frame_by_frame(factor):
    noise = np.random.default_rng(0).integers(0, 256, (2, 12, 14, 3), dtype=np.uint8)
    expected = pil_frames(noise, lambda x: ImageEnhance.Sharpness(x).enhance(factor))
    assert_close(operations.sharpness(noise, factor), expected, noise, 1 + abs(1 - factor))


def test_solarise_add_brightens_the_dark_half(clip):
    expected = np.where(clip < 128, np.minimum(clip.astype(int) + 165, 255), clip)
    np.testing.assert_array_equal(operations.solarise_add(clip, 165), expected)


def test_cutout_is_a_grey_square_in_the_same_place_of_all_frames(clip):
    cut = operations.cutout(clip, 5, (10, 30))
    expected = clip.copy()
    expected[:, 5:15, 25:] = 128
    np.testing.assert_array_equal(cut, expected)


def affine(*numbers):
    return lambda x: x.transform(x.size, Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR)


WARPS = {
    "rotate": (lambda x: warps.rotate(x, 25), lambda x: x.rotate(25, Image.Resampling.BILINEAR)),
    "shear_x": (lambda x: warps.shear_x(x, 0.3), affine(1, 0.3, 0, 0, 1, 0)),
    "shear_y": (lambda x: warps.shear_y(x, -0.2), affine(1, 0, 0, -0.2, 1, 0)),
    "translate_x": (lambda x: warps.translate_x(x, 7), affine(1, 0, 7, 0, 1, 0)),
    "translate_y": (lambda x: warps.translate_y(x, -5), affine(1, 0, 0, 0, 1, -5)),
}


@pytest.mark.parametrize("name", WARPS)
def test_warps_are_those_of_pil_and_leave_grey(clip, name):
    ours, theirs = WARPS[name]
    warped, expected = ours(clip), pil_frames(clip, theirs)
    inside = (pil_frames(np.full_like(clip, 255), theirs) == 255) & (ours(np.full_like(clip, 255)) == 255)
    outside = (pil_frames(np.full_like(clip, 255), theirs) == 0) & (ours(np.full_like(clip, 255)) == 128)
    assert inside.mean() > 0.5
    assert outside.mean() > 0.04
    assert (inside | outside).mean() > 0.85
    assert (expected != clip)[inside].mean() > 0.5
    np.testing.assert_allclose(warped[inside].astype(int), expected[inside], atol=2)
    assert (warped[outside] == 128).all()


@pytest.mark.parametrize("geometric", [False, True])
def test_every_operation_of_the_set_is_as_likely(geometric):
    names = [*PHOTOMETRIC, *(GEOMETRIC if geometric else ())]
    drawn = random_operations(np.random.default_rng(0), 3000, 15, geometric)
    counts = collections.Counter(operation.name for operation in drawn)
    assert counts.keys() == set(names)
    assert min(counts.values()) > 0.75 * 3000 / len(names)
    assert {operation.draw.sign for operation in drawn} == {-1, 1}


@pytest.mark.parametrize("magnitude", [0.0, 5.0, 15.0, 30.0])
def test_every_operation_treats_all_frames_alike_at_any_magnitude(magnitude):
    still = np.repeat(films.scene(1, 24, 32), 3, axis=0)
    for name in PHOTOMETRIC | GEOMETRIC:
        changed = Operation(name, Draw(magnitude / 10, -1, (0.3, 0.9)))(still)
        assert (changed.shape, changed.dtype) == (still.shape, np.uint8), name
        assert (changed == changed[:1]).all(), name


def test_operations_leave_their_input_as_it_was(clip):
    before = clip.copy()
    for name in PHOTOMETRIC | GEOMETRIC:
        Operation(name, Draw(1.5, 1, (0.5, 0.5)))(clip)
    np.testing.assert_array_equal(clip, before)


def test_the_magnitude_is_that_of_the_original(clip):
    """At the paper's 15: enhancements by 2.8, 165 added, 6 bits kept, nothing bright enough to solarise."""
    draw = Draw(1.5, 1, (0.5, 0.5))
    np.testing.assert_array_equal(Operation("brightness", draw)(clip), operations.brightness(clip, 2.8))
    np.testing.assert_array_equal(Operation("solarise_add", draw)(clip), operations.solarise_add(clip, 165))
    np.testing.assert_array_equal(Operation("posterise", draw)(clip), operations.posterise(clip, 6))
    np.testing.assert_array_equal(Operation("solarise", draw)(clip), clip)


def test_randaugment_leaves_the_other_draws_as_they_were():
    def drawn(**options):
        return random_augmentation(np.random.default_rng(7), AugmentConfig(colour_jitter=1.0, erasing=1.0, **options), 32, (24, 24))

    augmented = drawn(randaugment_layers=2, randaugment_magnitude=15)
    assert augmented.geometry == drawn().geometry
    assert augmented.transforms[2:] == drawn().transforms
    assert len(augmented.transforms) == 3
    np.testing.assert_array_equal(augmented.colours, drawn().colours)


@pytest.mark.parametrize("field", ["randaugment_layers", "randaugment_magnitude"])
def test_negative_numbers_are_refused(field):
    with pytest.raises(UserError, match=field):
        AugmentConfig(**{field: -1})
