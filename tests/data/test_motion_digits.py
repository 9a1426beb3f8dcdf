import dataclasses

import numpy as np
import pytest

from vivit_jax.data import motion_digits
from vivit_jax.data.motion_digits import FRAMES, LABELS, MOTIONS, RANGES, SIZE, SPLITS
from vivit_jax.errors import UserError

LUMA = np.array([0.299, 0.587, 0.114])
REVERSES = {label: LABELS[number ^ 1] for number, label in enumerate(LABELS)}


def scenes(count, split="train"):
    generator = np.random.default_rng(7)
    return [motion_digits.random_scene(split, generator) for _ in range(count)]


def test_a_video_is_a_function_of_split_and_index():
    video, label = motion_digits.render("val", 5)
    again, _ = motion_digits.render("val", 5)
    other, _ = motion_digits.render("train", 5)
    assert video.shape == (FRAMES, SIZE, SIZE, 3)
    assert video.dtype == np.uint8
    assert label == 5
    np.testing.assert_array_equal(video, again)
    assert (video != other).any()


def test_classes_take_turns():
    labels = [motion_digits.render("test", index)[1] for index in range(16)]
    assert labels == [*range(8), *range(8)]


def test_splits_share_no_digit():
    digits = {split: {digit.tobytes() for digit in motion_digits.split_digits(split)} for split in SPLITS}
    assert sum(len(motion_digits.split_digits(split)) for split in SPLITS) == 1797
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert not digits[one] & digits[other]
    assert min(map(len, digits.values())) > 200


@pytest.mark.parametrize("motion", LABELS)
def test_backwards_a_motion_is_exactly_its_reverse(motion):
    """From where it ended, the reverse motion shows the same frames backwards: sets of frames are the same in both classes."""
    for scene in scenes(4):
        ended = {axis: values[-1] for axis, values in motion_digits.states(scene, motion).items()}
        back = motion_digits.draw(dataclasses.replace(scene, start=ended), REVERSES[motion])
        there = motion_digits.draw(scene, motion).astype(int)
        assert np.abs(back[::-1] - there).max() <= 1  # rounding of the state's floats


@pytest.mark.parametrize("motion", LABELS)
@pytest.mark.parametrize("axis", RANGES)
def test_every_state_is_uniform_at_every_frame_of_every_class(motion, axis):
    """So one frame tells nothing. Compared by the Kolmogorov-Smirnov distance, whose 0.1 % point here is 0.044."""
    low, high = RANGES[axis]
    values = np.array([motion_digits.states(scene, motion)[axis] for scene in scenes(2000)])
    assert values.min() >= low
    assert values.max() <= high
    for frame in (0, 13, FRAMES - 1):
        ranks = np.sort((values[:, frame] - low) / (high - low))
        assert np.abs(ranks - np.arange(2000) / 2000).max() < 0.044


def test_the_draw_of_a_scene_knows_nothing_of_its_class():
    """First frames of all eight classes from one scene are one picture."""
    scene = scenes(1)[0]
    first = [motion_digits.draw(scene, motion)[0] for motion in MOTIONS]
    assert all((frame == first[0]).all() for frame in first)


@pytest.mark.parametrize("motion", LABELS)
def test_steps_at_stride_two_are_far_from_a_whole_turn_and_sixteen_frames_move_far(motion):
    axis, direction = MOTIONS[motion]
    low, high = RANGES[axis]
    for scene in scenes(50):
        phase = motion_digits.states(scene, motion)[axis] / (high - low)
        step = (np.diff(phase[::2]) + 0.5) % 1 - 0.5
        assert (np.sign(step) == direction).all()
        assert np.abs(step).max() <= 0.101
        assert np.abs(step).sum() / 2 > 0.3


def test_the_digit_is_seen_against_its_background():
    for index in range(32):
        video, _ = motion_digits.render("train", index)
        luma = video[0] @ LUMA
        assert np.ptp(luma) > 40


def test_an_unknown_split_is_refused():
    with pytest.raises(UserError, match="did you mean 'test'"):
        motion_digits.render("tests", 0)
