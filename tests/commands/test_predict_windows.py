"""Along a long video: each window as that part of the video alone would be predicted."""

import numpy as np
import pytest

from vivit_jax import from_pretrained
from vivit_jax.data.video.reader import stream_frames
from vivit_jax.inference.predict import predict


@pytest.mark.parametrize("views", [(1, 1), (2, 3)])
def test_a_window_is_predicted_as_its_frames_alone(model_dir, videos, views):
    pretrained = from_pretrained(model_dir)
    frames = np.stack(list(stream_frames(videos[2])))  # 22 at 10 a second
    found = list(pretrained.predict_windows(videos[2], window=0.9, every=0.5, views=views))
    assert [(start, end) for start, end, _ in found] == [(0.0, 0.9), (0.5, 1.4), (1.0, 1.9), (1.5, 2.2)]
    for start, end, ranking in found:
        alone = predict(pretrained, frames[round(10 * start) : round(10 * end)], views=views)
        assert [label for label, _ in ranking] == [label for label, _ in alone]
        np.testing.assert_allclose([p for _, p in ranking], [p for _, p in alone], rtol=1e-4)
