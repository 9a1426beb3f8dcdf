import films
import numpy as np
import pytest

from vivit_jax.data import sampling
from vivit_jax.data.video.geometry import resize, scaled_size, spatial_crops, spread
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess


def test_a_random_clip_begins_anywhere_it_fits_and_nowhere_else():
    generator = np.random.default_rng(0)
    clips = np.stack([sampling.random_clip(generator, 4, 3, 20) for _ in range(300)])
    assert set(clips[:, 0]) == set(range(20 - 9))
    assert (np.diff(clips) == 3).all()


def test_spread_clips_reach_from_the_first_frame_to_the_last():
    np.testing.assert_array_equal(sampling.spread_clips(1, 4, 2, 11), [[2, 4, 6, 8]])
    np.testing.assert_array_equal(sampling.spread_clips(3, 4, 2, 11), [[0, 2, 4, 6], [2, 4, 6, 8], [4, 6, 8, 10]])
    assert sampling.spread_clips(4, 32, 2, 300)[[0, -1], [0, -1]].tolist() == [0, 299]


def test_a_video_shorter_than_the_clip_starts_over():
    generator = np.random.default_rng(0)
    clips = np.stack([sampling.random_clip(generator, 6, 2, 5) for _ in range(100)])
    assert set(clips[:, 0]) == set(range(5))  # as in Scenic; else training would see the same frames each time, here half of them
    assert (np.diff(clips) % 5 == 2).all()
    np.testing.assert_array_equal(sampling.spread_clips(2, 3, 1, 2), [[0, 1, 0], [0, 1, 0]])


def test_controls_reorder_frames():
    generator = np.random.default_rng(0)
    clip = np.arange(5, 25)
    shuffled = sampling.reorder(clip, "shuffled", generator)
    assert sorted(shuffled) == clip.tolist()
    assert (shuffled != clip).any()
    still = sampling.reorder(clip, "one_frame", generator)
    assert len(set(still)) == 1
    assert still[0] in clip
    assert sampling.reorder(clip, "forward", generator) is clip


def test_spread_takes_the_middle_or_both_ends():
    assert spread(10, 4, 1).tolist() == [3]
    assert spread(10, 4, 3).tolist() == [0, 3, 6]
    assert spread(4, 4, 3).tolist() == [0, 0, 0]


def test_three_crops_lie_along_the_longer_side():
    assert [(top.start, left.start) for top, left in spatial_crops(10, 30, (8, 10), 3)] == [(1, 0), (1, 10), (1, 20)]
    assert [(top.start, left.start) for top, left in spatial_crops(30, 10, (10, 8), 3)] == [(0, 1), (10, 1), (20, 1)]
    assert [(top.start, left.start) for top, left in spatial_crops(30, 10, (10, 8), 1)] == [(10, 1)]


def test_sizes_keep_the_aspect_ratio_and_hold_the_crop():
    assert scaled_size(256, 340, 224) == (224, 298)
    assert scaled_size(340, 256, 224) == (298, 224)
    assert scaled_size(100, 100, 224) == (224, 224)
    assert scaled_size(100, 200, 50, crop=(64, 32)) == (64, 128)


def test_resize_averages_where_it_shrinks_far():
    board = np.indices((64, 64)).sum(0)[..., None].repeat(3, -1) % 2 * 255
    assert np.ptp(resize(board.astype(np.uint8), 16, 16)) <= 1
    frame = films.scene(1)[0]
    assert resize(frame, 48, 64) is frame


def test_views_of_a_video_are_its_own_pixels(tmp_path):
    path = films.write(tmp_path / "a.mp4", films.scene(30, 40, 64))
    views = sampling.views_of_video(path, Preprocess(frames=4, stride=3, resize=40, crop=(32, 32)), (2, 3))
    assert views.shape == (6, 4, 32, 32, 3)
    full = decode_frames(path, range(30))
    np.testing.assert_array_equal(views[0], full[[0, 3, 6, 9], 4:36, 0:32])
    np.testing.assert_array_equal(views[4], full[[20, 23, 26, 29], 4:36, 16:48])
    np.testing.assert_array_equal(views[5], full[[20, 23, 26, 29], 4:36, 32:64])


def test_views_are_scaled_to_the_short_side(tmp_path):
    path = films.write(tmp_path / "a.mp4", films.scene(30, 80, 120))
    views = sampling.views_of_video(path, Preprocess(frames=2, stride=1, resize=20, crop=(16, 16)), (1, 1))
    full = decode_frames(path, [14, 15])
    expected = np.stack([resize(frame, 20, 30)[2:18, 7:23] for frame in full])
    np.testing.assert_array_equal(views[0], expected)


@pytest.mark.parametrize("views", [(0, 1), (1, 0), (3,), "4x3", 4, (1.5, 1)])
def test_impossible_views_are_refused(views):
    with pytest.raises(UserError, match="views must be"):
        sampling.check_views(views)
