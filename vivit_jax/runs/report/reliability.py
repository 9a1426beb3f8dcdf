"""Whether the probabilities of a head mean what they say: a reliability diagram with the expected calibration error."""

from collections.abc import Sequence

import numpy as np

from vivit_jax.runs.pages.charts import Axis, Chart, Series, chart
from vivit_jax.runs.report.predictions import HeadPrediction
from vivit_jax.statistics.calibration import BINS, Calibration, calibration
from vivit_jax.statistics.proportions import wilson


def reliability(predictions: Sequence[HeadPrediction], labels: Sequence[str], *, multi_label: bool, name: str) -> str:
    """The diagram, with intervals of Wilson; nothing without predictions.

    With one label an example, a prediction is the most probable class; with several it is each class of each example.

    Args:
      predictions: the head's, one for each example.
      labels: its classes.
      multi_label: whether an example may have several of them.
      name: begins the id of the chart on the page.
    """
    if not predictions or (multi_label and not all(set(labels) <= set(one.probabilities) for one in predictions)):
        return ""
    if multi_label:
        probability = np.array([one.probabilities[label] for one in predictions for label in labels])
        right = np.array([label in one.labels for one in predictions for label in labels])
    else:
        probability, right = np.array([one.probability for one in predictions]), np.array([one.right for one in predictions])
    return chart(_diagram(calibration(probability, right), of_a_class=multi_label), f"{name}-calibration")


def _diagram(found: Calibration, *, of_a_class: bool) -> Chart:
    intervals = [wilson(int(right), int(count)) for right, count in zip(found.right, found.counts, strict=True)]
    series = Series(
        "",
        found.probability.tolist(),
        found.accuracy.tolist(),
        low=[low for low, _ in intervals],
        high=[high for _, high in intervals],
        beside={"predictions": [f"{count:,}" for count in found.counts]},
        dots=True,
        line=False,
    )
    mean, right, count = np.average(found.probability, weights=found.counts), found.right.sum() / found.counts.sum(), found.counts.sum()
    said = "a class is given" if of_a_class else "the predicted class is given"
    true = "the example has it" if of_a_class else "it is right"
    note = (
        f"On average {said} {mean:.1%}, and {true} in {right:.1%}. Even a perfectly calibrated model has an error of about "
        f"{found.by_chance:.3f} on {count:,} predictions, by chance. The dotted line is perfect; bars are 95% intervals; {BINS} bins."
    )
    x, y = Axis("mean probability", share=True), Axis("share that is right", share=True)
    return Chart(f"Calibration: ECE {found.error:.3f}", x, y, [series], diagonal=(0.0, 1.0), note=note)
