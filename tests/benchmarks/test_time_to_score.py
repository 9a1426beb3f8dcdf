"""`benchmarks/time_to_score.py`, on checkouts whose `train.py` only says what a run would say, and takes CPU time."""

import json
import sys

import pytest
import time_to_score

# Of a case with `slow=1` the second validation, of others the first, reaches 0.9.
TRAIN = """
import json, pathlib, sys, time
options = dict(argument.lstrip("-").split("=", 1) for argument in sys.argv[1:])
workdir = pathlib.Path(options["workdir"])
workdir.mkdir()
while time.process_time() < 0.2:
    pass
print("first step 0.1 s after the start")
with (workdir / "metrics.jsonl").open("a", buffering=1) as file:
    for step, score in ((10, 0.5 if "config.slow" in options else 0.95), (20, 0.96)):
        print(json.dumps({"step": step, "val/top1": score, "val/loss": 1.0}), file=file)
        print(json.dumps({"step": step, "train/loss": 1.0}), file=file)
        print(f"step {step}/20  val top1 {score} (1 of 2)  loss 1.0")
(workdir / "evaluation.json").write_text(json.dumps({"top1": int(options["config.seed"]) / 10}))
"""


def called(monkeypatch, tmp_path, *arguments):
    (tmp_path / "train.py").write_text(TRAIN)
    monkeypatch.setattr(sys, "argv", ["time_to_score", "--out", str(tmp_path / "out"), *arguments])
    return time_to_score.main(), json.loads((tmp_path / "out/time_to_score.json").read_text())


def test_the_first_validation_that_reaches_the_target_counts_with_its_times(monkeypatch, tmp_path, capsys):
    tree = str(tmp_path)
    cases = ["--case", "fast", tree, "--case", "slow", tree, "slow=1", "--seeds", "3", "4"]
    failed, rows = called(monkeypatch, tmp_path, *cases, "--target", "0.9")
    assert not failed
    assert len(rows) == 4
    for row in rows:
        first, last = row["validated"]
        assert 0.15 <= row["first_step"]["cpu"] <= last["cpu"] <= row["end"]["cpu"] + 0.05 < 5
        assert row["first_step"]["seconds"] <= first["seconds"] <= last["seconds"] <= row["end"]["seconds"]
    fast, slow = (line.split(" | ") for line in capsys.readouterr().out.splitlines()[-2:])
    assert fast[:3] == ["| fast", "2 of 2", "10"]
    assert slow[:3] == ["| slow", "2 of 2", "20"]
    assert fast[-2:] == slow[-2:] == ["0.9600", "0.3500 (0.3000 to 0.4000) |"]

    failed, again = called(monkeypatch, tmp_path, *cases, "--target", "0.97")
    assert (failed, again) == (0, rows)  # nothing is run again
    assert "| fast | 0 of 2 | - | - | - |" in capsys.readouterr().out


def test_a_run_that_fails_is_told_and_leaves_the_others(monkeypatch, tmp_path, capsys):
    gone = str(tmp_path / "gone")
    (tmp_path / "gone").mkdir()
    failed, rows = called(monkeypatch, tmp_path, "--case", "a", gone, "--case", "b", str(tmp_path), "--target", "0.9")
    assert failed
    assert ["error" in row for row in rows] == [True, False]
    out = capsys.readouterr().out
    assert "| a | failed |" in out
    assert "| b | 1 of 1 | 10 |" in out


@pytest.mark.parametrize(("values", "told"), [([], "-"), ([2.0], "2.0"), ([3.0, 1.0, 2.0], "2.0 (1.0 to 3.0)")])
def test_the_spread_of_some_values(values, told):
    assert time_to_score.spread(values, 1) == told
