"""The tables of `benchmarks/fewer_tokens.py`: a model that failed leaves the others, and runs are grouped by variant."""

import json

import fewer_tokens
import pytest


def test_a_model_that_failed_has_a_row_without_figures():
    measured = {"model": 1, "variant": "a half", "steps_per_second": 2.0, "ratio": 1.9, "gigabytes": 12.0}
    [*_, one, two] = fewer_tokens.table([measured, {"model": 2, "variant": "all", "error": "TimeoutExpired"}]).splitlines()
    assert one == "| 1 | - | 2.00 (1.90x, 12.0 GB) | - | - | - |"
    assert two == "| 2 | - | - | - | - | - |"


def test_finished_runs_are_set_beside_each_other_by_variant(tmp_path):
    for name, top1, rates in (("all-0", 0.5, (10, 30, 20)), ("all-1", 0.7, (40,)), ("by-tube-0", 0.25, (60,)), ("by-tube-1", None, (60,))):
        (tmp_path / name).mkdir()
        rows = [{"train/clips_per_second": rate} for rate in rates]
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"test/top1": 0.1}]))
        if top1 is not None:
            (tmp_path / name / "evaluation.json").write_text(json.dumps({"top1": top1}))
    report, table = fewer_tokens.scores(tmp_path)
    assert table.splitlines()[2:] == ["| all | 2 | 60.0 ± 14.1 | 30 |", "| by-tube | 1 | 25.0 | 60 |"]
    assert [run["clips_per_second"] for run in report["variants"]["all"]] == [20, 40]


def test_a_folder_without_finished_runs_is_an_error(tmp_path):
    with pytest.raises(SystemExit, match="no finished run"):
        fewer_tokens.scores(tmp_path)
