"""The curves of a training, from its rows of metrics."""

import math
from collections.abc import Sequence

from vivit_jax.runs.clock import TIMING_KEYS
from vivit_jax.runs.pages.charts import Axis, Chart, Series, chart

STEP = Axis("step")
TOP5 = "top-5"  # left out where it is always 1, as for up to five classes
Figure = tuple[str, Axis, dict[str, str], bool]

# Title, axis, the metrics' keys by the names of their lines, and whether a logarithmic axis is offered.
SHOWN = (
    ("Loss", Axis("loss"), {"training": "train/loss", "validation": "val/loss", "test": "test/loss"}, True),
    ("Top-1", Axis("top-1", share=True), {"training": "train/top1", "validation": "val/top1", "test": "test/top1"}, False),
    ("Mean average precision", Axis("mAP", share=True), {"validation": "val/mAP", "test": "test/mAP"}, False),
    (
        "Other validation scores",
        Axis("score", share=True),
        {TOP5: "val/top5", "mean over classes": "val/mean_class", "AUC": "val/auc", "F1": "val/f1"},
        False,
    ),
    ("Learning rate", Axis("learning rate"), {"": "train/learning_rate"}, True),
)
FOLDED = (
    ("Gradient norm", Axis("norm"), {"": "train/grad_norm"}, True),
    ("Speed", Axis("clips a second"), {"": "train/clips_per_second"}, True),
    (
        "Where the time goes",
        Axis("share of the time", share=True),
        {"waiting for data": "train/data_wait", "waiting for the device": "train/device_wait", "host": "train/host_time"},
        False,
    ),
)


def curves(metrics: list[dict], tested: int | None) -> str:
    """The curves that the metrics have values for. The test's point lies at the step of the model that was `tested`, if that is known."""
    metrics = [_without_unmeasured(row) for row in metrics]
    if tested is not None:
        metrics = [row | {"step": tested} if any(key.startswith("test/") for key in row) else row for row in metrics]
    shown, folded = _drawn(SHOWN, metrics, "curve"), _drawn(FOLDED, metrics, "more")
    if not shown and not folded:
        return "<p>No metrics yet.</p>"
    more = f"<details><summary>Gradient and speed</summary>{folded}</details>" if folded else ""
    return shown + more


def _without_unmeasured(row: dict) -> dict:
    """A row of metrics without the timings of the first step, which compiles: its speed stands there as 0."""
    return {key: value for key, value in row.items() if key not in TIMING_KEYS} if row.get(TIMING_KEYS[0]) == 0 else row


def _drawn(figures: Sequence[Figure], metrics: list[dict], name: str) -> str:
    drawn = [
        chart(_chart(title, axis, series, log=log), f"{name}-{number}")
        for number, (title, axis, keys, log) in enumerate(figures)
        if (series := _series(keys, metrics))
    ]
    return f'<div class="grid">{"".join(drawn)}</div>' if drawn else ""


def _series(keys: dict[str, str], metrics: list[dict]) -> list[Series]:
    rows = {name: [(row["step"], _finite(row[key])) for row in metrics if key in row] for name, key in keys.items()}
    return [
        Series(name, [step for step, _ in points], [value for _, value in points])
        for name, points in rows.items()
        if points and not (name == TOP5 and all(value == 1 for _, value in points))
    ]


def _chart(title: str, axis: Axis, series: list[Series], *, log: bool) -> Chart:
    if axis.share and any(not 0 <= value <= 1 for one in series for value in one.known):  # from elsewhere: no such share was measured here
        axis = Axis(axis.name)
    gaps = [step for one in series for step, value in zip(one.x, one.y, strict=True) if value is None]
    note = f"{len(gaps)} values are NaN, infinite or undefined, the first at step {min(gaps)}: lines are broken there." if gaps else ""
    return Chart(title, STEP, axis, series, log=log, note=note)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
