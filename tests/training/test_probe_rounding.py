"""Features that vary by their rounding alone, as a constant channel of a float32 network does: a linear head must not lean on them."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from vivit_jax.training.probes.examples import Examples
from vivit_jax.training.probes.linear import LinearKind

EXAMPLES, TELLING, CLASSES = 120, 6, 3


def examples(several: bool) -> Examples:
    """Features of float32 that tell a little about the label, and after them eight that are 0.7 but for the last bit."""
    generator = np.random.default_rng(0)
    label = generator.integers(0, CLASSES, EXAMPLES)
    telling = generator.normal(size=(EXAMPLES, TELLING)) + label[:, None] / 2
    constant = np.float32(0.7) + generator.integers(-1, 2, (EXAMPLES, 8)) * np.spacing(np.float32(0.7))
    features = np.concatenate([telling, constant], axis=1).astype(np.float32)
    label = (label[:, None] != np.arange(CLASSES)).astype(np.uint8) if several else label
    return Examples(features, label, np.arange(EXAMPLES).astype(str))


@pytest.mark.parametrize("several", [False, True])
def test_the_head_is_scikit_learns_without_them_and_float32_repeats_it(several):
    given = examples(several)
    head = LinearKind().fit(given, CLASSES, {"C": 100.0})
    standard = StandardScaler().fit_transform(given.features[:, :TELLING].astype(np.float64))

    def fit(label):
        return LogisticRegression(C=100.0, tol=1e-6, max_iter=5000).fit(standard, label).decision_function(standard)

    expected = np.stack([fit(given.label[:, number]) for number in range(CLASSES)], axis=1) if several else fit(given.label)
    np.testing.assert_allclose(head(given.features), expected, atol=1e-4)
    in_float32 = given.features @ head.layer.kernel.astype(np.float32) + head.layer.bias.astype(np.float32)
    np.testing.assert_allclose(in_float32, expected, atol=1e-3)
