"""The head of kind `linear`: a logistic regression on standardised features, by scikit-learn."""

import dataclasses

import numpy as np
from jaxtyping import Float

from vivit_jax.training.probes.examples import Examples, present_classes
from vivit_jax.training.probes.settings import Setting
from vivit_jax.weights.headless import Linear

STRENGTHS = tuple(float(f"{10 ** (step / 2):.3g}") for step in range(-12, 9))  # 1e-6, 3.16e-6, ... 10,000
TOLERANCE, ITERATIONS = 1e-6, 5_000
ROUNDING = 32 * float(np.finfo(np.float32).eps)  # of a feature's size: one that varies by less varies by rounding
UNSEEN = -20.0  # logit of a class without examples to fit; the largest logit of the other classes is never below 0


@dataclasses.dataclass(frozen=True)
class LinearHead:
    """The head of kind `linear`."""

    layer: Linear

    def __call__(self, features: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b classes"]:
        """The logits."""
        return features.astype(np.float64) @ self.layer.kernel + self.layer.bias


@dataclasses.dataclass(frozen=True)
class LinearKind:
    """The kind `linear`: multinomial logistic regression on standardised features, by scikit-learn."""

    settings: tuple[Setting, ...] = tuple({"C": strength} for strength in STRENGTHS)

    def fit(self, examples: Examples, classes: int, setting: Setting) -> LinearHead:
        """A head fitted to the examples; its kernel and bias include the standardisation of the features.

        A feature that varies by its rounding alone has no weight. Divided by so small a deviation, it would look like any other, and the
        model, which computes in float32, could not repeat it.

        Raises:
          UserError: for examples of one class.
        """
        from sklearn.preprocessing import StandardScaler  # takes a while to import

        scaler, features = StandardScaler(), examples.features.astype(np.float64)
        standard = scaler.fit_transform(features)
        standard[:, scaler.scale_ <= ROUNDING * np.abs(features).max(axis=0)] = 0
        fitted = _fit_each if examples.label.ndim == 2 else _fit_one_of
        kernel, bias = fitted(standard, examples.label, classes, setting["C"])
        kernel = kernel / scaler.scale_[:, None]
        return LinearHead(Linear(kernel, bias - scaler.mean_ @ kernel))


def _fit_one_of(features: np.ndarray, label: np.ndarray, classes: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias; the logits of the classes that have examples add up to 0."""
    present = present_classes(label)
    weights, bias = _logistic(features, label, strength)
    if len(present) == 2:  # scikit-learn's one score is the difference of two logits
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    kernel, biases = np.zeros((features.shape[1], classes)), np.full(classes, UNSEEN)
    kernel[:, present], biases[present] = weights.T, bias
    return kernel, biases


def _fit_each(features: np.ndarray, label: np.ndarray, classes: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of one logistic regression per class; a class that all or no examples have gets a constant, its smoothed log-odds."""
    kernel, biases = np.zeros((features.shape[1], classes)), np.zeros(classes)
    for number in range(classes):
        has, count = label[:, number], int(label[:, number].sum())
        if 0 < count < len(has):
            weights, bias = _logistic(features, has, strength)
            kernel[:, number], biases[number] = weights[0], bias[0]
        else:
            biases[number] = np.log((count + 0.5) / (len(has) - count + 0.5))
    return kernel, biases


def _logistic(features: np.ndarray, label: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.linear_model import LogisticRegression  # takes a while to import
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    with threadpool_limits(1):  # threads cost such small products far more than they save, and the bits would depend on their number
        fitted = LogisticRegression(C=strength, tol=TOLERANCE, max_iter=ITERATIONS).fit(features, label)
    return fitted.coef_, fitted.intercept_
