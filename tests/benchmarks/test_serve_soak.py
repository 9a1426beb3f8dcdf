"""`benchmarks/serve_soak.py`: a soak of seconds, with its crowd, and that it finds what is lost."""

import json
import subprocess
import sys

import pytest
import serve_soak
from toys import CONFIG, LABELS, PREPROCESS, random_variables

from vivit_jax.weights import save_pretrained

pytest.importorskip("starlette", reason="needs the extra `serve`: pip install -e .[serve]")


@pytest.mark.slow
def test_a_soak_of_seconds_loses_nothing(tmp_path):
    model = save_pretrained(tmp_path / "model", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS)
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [
            sys.executable,
            serve_soak.__file__,
            "--model",
            model,
            "--minutes",
            "0.1",
            "--crowd_every",
            "2",
            "--pause",
            "0",
            "--json",
            figures,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads(figures.read_text())
    assert record["lost"] == []
    assert record["uploads"] > 50
    assert set(record["answers"]["good"]) == {"200"}
    assert set(record["answers"]["text"]) == {"422"}
    assert any("503" in statuses for kind, statuses in record["answers"].items() if kind.endswith("in a crowd"))
    assert record["memory"][-1]["temporary_files"] == 0


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"Internal Server Error", "status 500"),
        (200, b'{"results": [{"predictions": [["b", 1.0]]}]}', "and before"),
        (422, b'{"error": "two\\nlines"}', "more than one line"),
    ],
)
def test_what_is_wrong_is_listed(monkeypatch, status, body, reason):
    client = serve_soak.Client(0)
    right = {"results": [{"predictions": [["a", 1.0]]}]}
    answers = [(200, json.dumps(right).encode()), (status, body)]
    monkeypatch.setattr(client, "_post", lambda contents: answers.pop(0))
    for _ in range(2):
        client.send(serve_soak.Upload("good", b"clip", (200, 422)))
    (lost,) = client.lost
    assert reason in lost["reason"]


def test_a_server_that_does_not_answer_is_listed():
    client = serve_soak.Client(1)  # nothing listens there
    client.send(serve_soak.Upload("good", b"clip", (200,)))
    assert "ConnectionRefusedError" in client.lost[0]["reason"]
