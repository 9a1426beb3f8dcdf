"""The losses against NumPy, scikit-learn and PyTorch's definitions written out."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from vivit_jax.errors import UserError
from vivit_jax.training.config import LossConfig
from vivit_jax.training.losses import balanced_class_weights, cross_entropy, explicit_class_weights, targets_of

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(6, 4)).astype(np.float32) * 3
LABEL = np.array([0, 3, 1, 1, 2, 0])
PRESENT = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 1]], np.uint8)
WEIGHTS = np.array([0.5, 1.0, 2.0, 3.0])


def loss_of(labels, config, weights=None):
    labels = jnp.asarray(labels)
    return float(cross_entropy(jnp.asarray(LOGITS), targets_of(labels, LOGITS), config, weights))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_softmax_is_minus_the_weighted_log_probability(weights):
    probability = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    each = -np.log(probability[np.arange(6), LABEL]) * (1 if weights is None else weights[LABEL])
    assert loss_of(LABEL, LossConfig(), weights if weights is None else {"": weights}) == pytest.approx(each.mean(), rel=1e-5)


@pytest.mark.parametrize("weights", [np.ones(4), WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_sigmoid_is_a_decision_for_each_class(weights, smoothing):
    probability = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    targets = (1 - smoothing) * PRESENT + smoothing * 0.5
    each = -(weights * targets * np.log(probability) + (1 - targets) * np.log(1 - probability))
    config = LossConfig("sigmoid", label_smoothing=smoothing)
    assert loss_of(PRESENT, config, {"": weights}) == pytest.approx(each.mean(), rel=1e-5)


def test_a_sigmoid_of_one_label_takes_it_as_the_only_one_present():
    assert loss_of(LABEL, LossConfig("sigmoid")) == pytest.approx(loss_of(np.eye(4)[LABEL], LossConfig("sigmoid")))


def test_balanced_softmax_weights_are_those_of_scikit_learn():
    label = np.repeat(np.arange(3), [10, 70, 20])
    found = balanced_class_weights(LossConfig(class_weights="balanced"), {"": np.bincount(label)}, 100)[""]
    np.testing.assert_allclose(found, compute_class_weight("balanced", classes=np.arange(3), y=label), rtol=1e-6)
    assert found[label].mean() == pytest.approx(1.0)


def test_balanced_sigmoid_weights_make_presence_and_absence_count_alike():
    counts = PRESENT.sum(axis=0)
    found = balanced_class_weights(LossConfig("sigmoid", class_weights="balanced"), {"": counts}, 6)[""]
    np.testing.assert_allclose((found * PRESENT).sum(axis=0), (1 - PRESENT).sum(axis=0), rtol=1e-6)


def test_weights_that_fit_no_class_are_refused():
    with pytest.raises(UserError, match="class number 1 of head 'noun' has no training example"):
        balanced_class_weights(LossConfig(class_weights="balanced"), {"verb": np.array([1, 2]), "noun": np.array([3, 0])}, 3)
    with pytest.raises(UserError, match="got 2 numbers for classes 3"):
        explicit_class_weights(LossConfig(class_weights=(1.0, 2.0)), {"": 3})
    with pytest.raises(UserError, match="classes 2 of verb and 2 of noun"):
        explicit_class_weights(LossConfig(class_weights=(1.0, 2.0)), {"verb": 2, "noun": 2})
    with pytest.raises(UserError, match="did you mean 'balanced'"):
        LossConfig(class_weights="balance")
    assert explicit_class_weights(LossConfig(), {"": 3}) is None
