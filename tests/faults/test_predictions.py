"""Rows of predictions outlive the process that writes them."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from small_models import LABELS, PREPROCESS, SQUARE, random_variables

from vivit_jax import cli
from vivit_jax.data.video.reader import encode
from vivit_jax.weights import save_pretrained

ROWS_LEFT = 40  # written before a process is ended
ROW_BYTES = 200  # about


@pytest.fixture
def film(tmp_path):
    blocks = np.random.default_rng(0).integers(0, 256, (3000, 3, 4, 3), np.uint8)
    path = tmp_path / "film.mp4"
    path.write_bytes(encode(blocks.repeat(8, 1).repeat(8, 2), 25))
    return path


def ended_while_writing(command, out, number):
    """Runs a command until it has written some more rows, and ends it by a signal; returns its exit code."""
    before = out.stat().st_size if out.exists() else 0
    process = subprocess.Popen(
        [sys.executable, "-m", "vivit_jax", *command], stderr=subprocess.PIPE, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )
    while not out.exists() or out.stat().st_size < before + ROW_BYTES * ROWS_LEFT:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    process.send_signal(number)
    process.communicate(timeout=60)
    return process.returncode


@pytest.mark.slow
@pytest.mark.fault(
    promise="Scoring along a long video loses at most the windows in work, and the same command goes on",
    provoked="SIGKILL while rows are written, and SIGINT after it was started again",
    seen="whole lines after either; in the end the rows of an uninterrupted command",
    trials=2,
)
def test_rows_outlive_their_process(film, tmp_path):
    model = save_pretrained(tmp_path / "model", SQUARE, random_variables(SQUARE), PREPROCESS, LABELS)
    out, whole = tmp_path / "rows.jsonl", tmp_path / "whole.jsonl"
    command = ["predict", "--model", str(model), str(film), "--window", "0.4", "--every", "0.04", "--out"]
    for number, code in [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)]:
        assert ended_while_writing([*command, str(out)], out, number) == code
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert out.read_text().endswith("\n")
        assert [row["start"] for row in rows] == [round(0.04 * i, 6) for i in range(len(rows))]
        assert len(rows) > ROWS_LEFT / 2
    assert cli.main([*command, str(out)]) == 0
    assert cli.main([*command, str(whole)]) == 0
    expected = [json.loads(line) for line in whole.read_text().splitlines()]
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {**row, "probability": pytest.approx(row["probability"], rel=1e-4)} for row in expected
    ]
