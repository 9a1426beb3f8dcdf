"""Rows of metrics: cut where a run resumes, and never a reason to stop."""

import json

import numpy as np
import pytest

from vivit_jax.runs.writers import JsonLines, TensorBoard, Writers


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_resumed_run_drops_rows_past_its_step_and_half_written_ones(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": 1, "train/loss": 1.0}, {"step": 2, "train/loss": 0.5}, {"step": 2, "test/top1": 0.5}, {"step": 3, "train/loss": 0.1}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 4, "tra')
    writer = JsonLines(path, 2)
    writer.write(3, {"train/loss": 0.2})
    assert lines(path) == [*rows[:2], {"step": 3, "train/loss": 0.2}]


def test_numbers_without_a_name_in_json_are_null(tmp_path):
    JsonLines(tmp_path / "metrics.jsonl", 0).write(1, {"train/loss": float("nan"), "train/grad_norm": float("inf")})
    assert lines(tmp_path / "metrics.jsonl") == [{"step": 1, "train/loss": None, "train/grad_norm": None}]


@pytest.mark.fault(
    promise="A failing writer of metrics does not stop training",
    provoked="a folder for TensorBoard that is a file, a folder that is not there, a metrics.jsonl that becomes a folder",
    seen="one warning each",
    trials=3,
)
def test_a_writer_that_fails_is_told_of_once_and_stops_nothing(tmp_path, capsys):
    (tmp_path / "file").write_text("not a directory")
    writers = Writers(
        {
            "TensorBoard": lambda: TensorBoard(tmp_path / "file", 0),
            "nowhere": lambda: JsonLines(tmp_path / "none" / "metrics.jsonl", 0),
            "metrics.jsonl": lambda: JsonLines(tmp_path / "metrics.jsonl", 0),
        }
    )
    for step in (1, 2):
        writers.write(step, {"train/loss": 1.0})
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").mkdir()
    for step in (3, 4):
        writers.write(step, {"train/loss": np.float32(1.0)})
    writers.close()
    output = capsys.readouterr().out
    assert [output.count(f"do not reach {name}, training continues") for name in ("TensorBoard", "nowhere", "metrics.jsonl")] == [1, 1, 1]
