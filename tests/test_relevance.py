"""The heat is where the evidence is, for each factorisation, and it adds up to the score."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vivit_jax.inference.relevance import integrated_gradients, log_odds
from vivit_jax.models.vivit.config import FACTORISATIONS, ViViTConfig
from vivit_jax.models.vivit.family import cells
from vivit_jax.models.vivit.model import ViViT

GRID = (2, 4, 4)
CELLS = cells(ViViTConfig(clip=(2, 4, 4), tubelet=(1, 2, 2), size="Ti"))


def clips_with_a_striped_block(seed, count):
    """Grey noise with one block of 2x8x8 striped, down or across, which is the class. Returns clips, labels and the block of each."""
    rng = np.random.default_rng(seed)
    videos = rng.normal(0, 0.1, (count, *GRID, 2, 8, 8, 3)).astype(np.float32)
    labels = rng.integers(0, 2, count)
    places = rng.integers(0, GRID, (count, 3))
    stripes = np.where(np.arange(8) // 2 % 2, 1.0, -1.0)
    patterns = np.stack([np.broadcast_to(stripes, (8, 8)), np.broadcast_to(stripes[:, None], (8, 8))])
    videos[(np.arange(count), *places.T)] += patterns[labels][:, None, :, :, None]
    videos = videos.transpose(0, 1, 4, 2, 5, 3, 6, 7).reshape(count, 4, 32, 32, 3)
    return videos, labels, places


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) for name in FACTORISATIONS],
)
def trained(request):
    """A model that tells the two kinds of stripes apart on clips it has not seen."""
    widths = {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "mlp_dim": 64, "temporal_layers": 1}
    config = ViViTConfig(factorisation=request.param, clip=(4, 32, 32), tubelet=(2, 8, 8), num_classes=2, **widths)
    model = ViViT(config)
    videos, labels, _ = clips_with_a_striped_block(0, 256)
    optimizer = optax.adam(3e-3)

    def loss(variables, video, label):
        return optax.softmax_cross_entropy_with_integer_labels(model.apply(variables, video), label).mean()

    def step(carry, rows):
        variables, state = carry
        updates, state = optimizer.update(jax.grad(loss)(variables, jnp.asarray(videos)[rows], jnp.asarray(labels)[rows]), state)
        return (optax.apply_updates(variables, updates), state), None

    variables = jax.jit(model.init)(jax.random.key(0), videos[:1])
    order = np.random.default_rng(0).integers(0, 256, (100, 32))
    (variables, _), _ = jax.jit(lambda *carry: jax.lax.scan(step, carry, order))(variables, optimizer.init(variables))
    unseen, truth, _ = clips_with_a_striped_block(1, 64)
    assert (np.asarray(jax.jit(model.apply)(variables, unseen)).argmax(-1) == truth).mean() > 0.95
    return model, variables


def test_the_heat_is_on_the_block_that_decides_and_adds_up_to_the_score(trained):
    model, variables = trained

    def score_of_class_1(clips):
        return log_odds(model.apply(variables, clips), 1)

    videos, labels, places = clips_with_a_striped_block(2, 12)
    hits = 0
    for video, place in zip(videos[labels == 1][:5], places[labels == 1][:5], strict=True):
        relevance = integrated_gradients(score_of_class_1, jnp.asarray(video), cells(model.config))
        hits += np.unravel_index(relevance.tokens.argmax(), GRID) == tuple(place)
        assert relevance.tokens.sum() == pytest.approx(relevance.score - relevance.blank, rel=0.05)
    assert hits >= 4


def test_frames_that_are_not_sampled_carry_no_heat():
    config = ViViTConfig(
        hidden_size=8, num_layers=1, num_heads=2, mlp_dim=16, clip=(8, 16, 16), tokenizer="frames", tubelet=(4, 8, 8), num_classes=3
    )
    model = ViViT(config)
    video = jax.random.normal(jax.random.key(1), (8, 16, 16, 3))
    variables = jax.jit(model.init)(jax.random.key(0), video[None])
    rng = np.random.default_rng(2)
    variables = jax.tree.map(lambda x: np.asarray(x) + rng.normal(0, 0.1, x.shape).astype(np.float32), variables)
    relevance = integrated_gradients(lambda clip: model.apply(variables, clip)[:, 1], video, cells(config))
    assert relevance.times.tolist() == [3, 5]
    assert relevance.tokens.shape == (2, 2, 2)
    assert relevance.tokens.sum() == pytest.approx(relevance.score - relevance.blank, rel=0.02, abs=1e-3)


def test_log_odds_are_of_one_class_against_all_others():
    probabilities = jnp.asarray([[0.5, 0.3, 0.2]])
    assert log_odds(jnp.log(probabilities) + 4.0, 1)[0] == pytest.approx(np.log(0.3 / 0.7), rel=1e-5)


def test_there_is_no_evidence_for_the_only_class_of_a_model():
    """It is certain whatever the clip shows, at log-odds that have no end."""

    def score(clips):
        return log_odds(clips.sum(axis=(1, 2, 3))[:, :1], 0)

    relevance = integrated_gradients(score, jax.random.normal(jax.random.key(0), (2, 4, 4, 3)), CELLS)
    assert (relevance.score, relevance.blank, np.abs(relevance.tokens).max()) == (0, 0, 0)
