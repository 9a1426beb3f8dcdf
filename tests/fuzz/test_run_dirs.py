"""Files of a run directory that anyone may have written: nothing but the one documented error comes of them."""

import contextlib
import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import examples

from vivit_jax.errors import UserError
from vivit_jax.runs.report.write import write_report

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
RUN = examples(15)
SCORES = {
    **{"name": "toys", "split": "test", "step": 3, "views": 2, "examples": 2, "hits": 1, "top1": 0.5, "top5": 1.0, "loss": 0.5},
    "per_class": {"cat": {"examples": 1, "top1": 1.0}, "dog": {"examples": 1, "top1": 0.0}},
    "confusion": [[1, 0], [1, 0]],
    "predictions": [{"index": 0, "label": "cat", "prediction": "dog", "probability": 0.5}],
}


def changed(value, where, new):
    """A copy of a JSON value with one of its parts, chosen by the numbers in `where`, replaced."""
    if not where or not isinstance(value, dict | list) or not value:
        return new
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = keys[where[0] % len(keys)]
    copy = value.copy()
    copy[key] = changed(value[key], where[1:], new)
    return copy


PLACES = st.lists(st.integers(0, 40), min_size=1, max_size=4)


@pytest.fixture
def small_run(workdir):
    shutil.rmtree(workdir / "model")
    return workdir


def reported(run):
    with contextlib.suppress(UserError):
        assert write_report(run).read_text().endswith("</html>\n")


@RUN
@given(where=PLACES, new=VALUES)
def test_any_evaluation(small_run, where, new):
    (small_run / "evaluation.json").write_text(json.dumps(changed(SCORES, where, new)))
    (small_run / "evaluation-val-1x1.json").write_text(json.dumps(changed(SCORES, where[::-1], new)))
    reported(small_run)


@RUN
@given(where=PLACES, new=VALUES)
def test_any_config(small_run, where, new):
    original = (small_run / "config.json").read_text()
    try:
        (small_run / "config.json").write_text(json.dumps(changed(json.loads(original), where, new)))
        reported(small_run)
    finally:
        (small_run / "config.json").write_text(original)


@RUN
@given(rows=st.lists(VALUES | st.builds(lambda step, value: {"step": step, "train/loss": value}, st.integers(), VALUES), max_size=4))
def test_any_metrics(small_run, rows):
    (small_run / "metrics.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    reported(small_run)


@RUN
@given(contents=st.binary(max_size=60), name=st.sampled_from(["config.json", "metrics.jsonl", "evaluation.json", "evaluation-a.json"]))
def test_any_bytes(small_run, contents, name):
    original = (small_run / "config.json").read_bytes()
    try:
        (small_run / name).write_bytes(contents)
        reported(small_run)
    finally:
        (small_run / name).unlink()
        (small_run / "config.json").write_bytes(original)
