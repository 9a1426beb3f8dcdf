"""How far two loss curves are apart, on runs of the tiny data set."""

import json
import pathlib
import sys

import loss_curve
import loss_runs
import numpy as np
import pytest

TESTS = pathlib.Path(__file__).parents[1]


def test_differences_are_of_steps_and_of_means_of_a_window():
    fast, plain = np.random.default_rng(0).normal(size=(2, 30))
    steps = [abs(a - b) for a, b in zip(fast, plain, strict=True)]
    means = [abs(np.mean(fast[i : i + 7]) - np.mean(plain[i : i + 7])) for i in range(24)]
    figures = loss_curve.differences(fast.tolist(), plain.tolist(), 7)
    assert figures["step"] == pytest.approx({"mean": np.mean(steps), "largest": max(steps), "step": steps.index(max(steps)) + 1})
    # The first mean is known after step 7.
    assert figures["moving average"] == pytest.approx({"mean": np.mean(means), "largest": max(means), "step": means.index(max(means)) + 7})


@pytest.mark.slow
def test_runs_that_differ_by_more_than_the_bound_fail_and_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(loss_runs, "TRAIN", TESTS / "training" / "tiny.py")
    monkeypatch.setenv("PYTHONPATH", str(TESTS.parent), prepend=":")
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
    report, image = tmp_path / "report.json", tmp_path / "plot.svg"
    flags = ["--config", TESTS / "training" / "tiny_config.py", "--steps", 8, "--window", 4, "--json", report, "--plot", image]
    monkeypatch.setattr(sys, "argv", ["loss_curve.py", *map(str, flags), "--bound", "1e-9", "--", "--config.seed=3"])
    with pytest.raises(SystemExit, match=r"differ by .* more than "):
        loss_curve.main()
    losses = json.loads(report.read_text())["losses"]
    assert [len(losses[name]) for name in ("fast", "plain", "reordered")] == [8, 8, 8]
    assert losses["fast"] == pytest.approx(losses["plain"], abs=0.05)
    assert "attention xla" in image.read_text()
