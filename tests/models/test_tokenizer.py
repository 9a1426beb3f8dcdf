"""Uniform frame sampling against the original's own indices, wherever the original is right."""

import jax.numpy as jnp
import pytest

from vivit_jax.models.vivit.tokenizer import uniform_frames


def original_indices(frames: int, sampled: int) -> list[int]:
    """The original's float stepping, which may return one index too many."""
    step = frames / (sampled + 1)
    return jnp.minimum(jnp.round(jnp.arange(step, frames, step)).astype(jnp.int32), frames - 1).tolist()


@pytest.mark.parametrize("frames", [4, 6, 8, 16, 25, 32, 64, 100])
def test_indices_are_the_originals_wherever_it_returns_the_right_number(frames):
    agreed = 0
    counts = range(1, frames, max(1, frames // 8))
    for sampled in counts:
        indices = uniform_frames(frames, sampled)
        assert len(indices) == sampled
        assert all(0 <= i < frames for i in indices)
        original = original_indices(frames, sampled)
        if len(original) == sampled:
            agreed += 1
            assert list(indices) == original
    assert agreed >= len(counts) // 2


def test_all_frames_are_taken_when_as_many_are_asked_for():
    assert uniform_frames(8, 8) == tuple(range(8))
