"""`vivit explain`: a video of the clip's frames, with the heat where the model saw it."""

import numpy as np
import pytest

from vivit_jax.data.video.encoder import Encoder
from vivit_jax.data.video.reader import probe, stream_frames
from vivit_jax.drawing import captioned, lay_heat
from vivit_jax.inference.explain import Explanation, explain, frames_once
from vivit_jax.inference.overlay import heat_at, seen_box
from vivit_jax.inference.pretrained import from_pretrained
from vivit_jax.inference.relevance import Relevance
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights.model_dir import load_model_dir


def test_an_overlay_has_the_clips_frames_at_the_videos_rate(model_dir, videos, tmp_path, vivit):
    out = tmp_path / "made" / "overlay.mp4"
    code, text, err = vivit("explain", "--model", model_dir, videos[2], "--out", out, "--label", "dog")
    assert (code, err) == (0, "")
    source, made = probe(videos[2]), probe(str(out))
    assert (made.fps, made.width, made.height) == (source.fps, source.width, source.height + 16)
    assert made.frames == 7  # 4 frames of stride 2, with those between them
    assert text.startswith("dog: ")
    assert str(out) in text


def test_the_most_probable_class_is_explained_unless_told_otherwise(model_dir, videos):
    pretrained = from_pretrained(model_dir)
    best = pretrained.predict(videos[0], views=(1, 1), top_k=1)[0]
    explanation = explain(pretrained, videos[0], max_steps=8)
    assert (explanation.label, explanation.probability) == (best[0], pytest.approx(best[1], rel=1e-4))
    assert explanation.frames.tolist() == [2, 4, 6, 8]
    assert explanation.relevance.tokens.shape == (2, 2, 2)


@pytest.mark.slow
def test_a_class_of_any_head_can_be_explained(two_headed_model_dir, videos):
    assert explain(load_model_dir(two_headed_model_dir), videos[0], label="lid", max_steps=4).label == "lid"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--out", "a.mp4", "--label", "cow"), "unknown --label 'cow'"),
        (("--out", "a.avi"), ".mp4 file"),
        (("--out", "a.mp4", "--start", "1:23", "--window", "2s"), "no frame from 1:23 to 1:25"),
        (("--out", "a.mp4", "--start", "1:23"), "--window or its --end"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, told, model_dir, videos, vivit):
    code, _, err = vivit("explain", "--model", model_dir, videos[0], *arguments)
    assert code == 2
    assert told in err
    assert err.count("\n") == 1


def test_heat_lies_between_tokens_in_proportion_to_time():
    tokens = np.stack([np.zeros((2, 2)), np.full((2, 2), 4.0)])
    relevance = Relevance(tokens, times=np.array([0.5, 2.5]), score=16.0, blank=0.0)
    explanation = Explanation("x", 1.0, relevance, frames=np.array([10, 12, 14, 16]))
    assert [heat_at(explanation, number)[0, 0] for number in (10, 11, 13, 15, 16)] == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_a_frame_that_a_clip_shows_twice_has_the_heat_of_both():
    """A video slower than its clip: each token is of one frame, twice."""
    relevance = Relevance(np.array([4.0, 0.0, 1.0]).reshape(3, 1, 1), times=np.array([0.5, 2.5, 4.5]), score=16.0, blank=0.0)
    explanation = Explanation("x", 1.0, relevance, frames=np.array([7, 7, 8, 8, 9, 9]))
    assert [heat_at(explanation, number)[0, 0] for number in (7, 8, 9)] == [1.0, 0.0, 0.25]


@pytest.mark.parametrize(
    ("rise", "share"), [(5.0, 1.0), (np.log(10), 1.0), (np.log(10) / 4, 0.25), (0.01, 0.01 / np.log(10)), (0.0, 0.0), (-3.0, 0.0)]
)
def test_colours_are_as_pale_as_there_is_little_evidence(rise, share):
    tokens = np.zeros((1, 4, 4))
    tokens[0, 0, 0], tokens[0, 3, 3] = 4.0, rise - 4.0
    relevance = Relevance(tokens, times=np.array([0.0]), score=rise - 1.0, blank=-1.0)
    explanation = Explanation("x", 0.5, relevance, frames=np.array([0]))
    assert heat_at(explanation, 0).max() == pytest.approx(share)
    assert share * explanation.full_colour == pytest.approx(4.0) or not share
    frame = np.full((64, 64, 3), 128, np.uint8)
    redness = np.ptp(lay_heat(frame, heat_at(explanation, 0), (slice(0, 64), slice(0, 64))).astype(int), axis=-1).max()
    assert redness > 100 if share == 1 else redness <= 255 * share + 1


def test_a_part_is_explained_as_the_part_alone(model_dir, videos, tmp_path):
    """The clip of 1.0 to 1.8 s, of frames 10 to 17, is that of a lossless video of these frames."""
    frames = np.stack(list(stream_frames(videos[2])))
    encoder = Encoder(10, lossless=True)
    for frame in frames[10:18]:
        encoder.add(frame)
    (tmp_path / "alone.mp4").write_bytes(encoder.finish())
    pretrained = from_pretrained(model_dir)
    part = explain(pretrained, videos[2], part=(1.0, 1.8), max_steps=4)
    alone = explain(pretrained, tmp_path / "alone.mp4", max_steps=4)
    assert (part.label, part.frames.tolist()) == (alone.label, alone.frames.tolist())
    np.testing.assert_allclose(part.relevance.tokens, alone.relevance.tokens, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_the_overlay_of_a_part_has_its_frames(model_dir, videos, tmp_path, vivit):
    out = tmp_path / "overlay.mp4"
    code, text, err = vivit(
        "explain", "--model", model_dir, videos[2], "--start", "1s", "--window", "800ms", "--out", out, "--max_steps", 8
    )
    assert (code, err) == (0, "")
    assert "from 0:01 to 0:01.8" in text
    assert (probe(str(out)).frames, probe(str(out)).fps) == (7, 10)


@pytest.mark.parametrize("size", [(120, 200), (200, 120), (64, 64)])
def test_heat_is_laid_where_the_model_sees(size):
    rows, columns = seen_box(size, Preprocess(frames=1, stride=1, resize=32, crop=(24, 24)))
    side = round(min(size) * 24 / 32)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (side, side)
    assert abs((rows.start + rows.stop) - size[0]) <= 4  # a pixel of the scaled frame
    assert abs((columns.start + columns.stop) - size[1]) <= 4
    heat = np.zeros((3, 3))
    heat[0, 2] = 1.0
    frame = np.full((*size, 3), 90, np.uint8)
    redness = np.ptp(lay_heat(frame, heat, (rows, columns)).astype(int), axis=-1)
    hottest = np.unravel_index(redness.argmax(), size)
    assert rows.start <= hottest[0] < rows.start + side / 3
    assert columns.stop - side / 3 <= hottest[1] < columns.stop
    outside = np.ones(size, bool)
    outside[rows, columns] = False
    assert not redness[outside].any()


def test_a_caption_stands_above_the_frame():
    frame = np.full((100, 160, 3), 200, np.uint8)
    made = captioned(frame, "caméra")
    assert made.shape == (116, 160, 3)
    assert (made[16:] == frame).all()
    assert 50 < (made[:16] > 128).any(-1).sum() < 800


@pytest.mark.parametrize(("video_frames", "shown"), [(12, [2, 4, 6, 8]), (5, [0, 2, 4]), (1, [0])])
def test_a_video_shorter_than_a_clip_is_shown_once_through(video_frames, shown):
    assert frames_once(video_frames, Preprocess(frames=4, stride=2, resize=20, crop=(16, 16))).tolist() == shown
