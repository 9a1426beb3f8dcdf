"""The records of a run that commands read: replaced by what is no file, or by numbers that contradict each other."""

import contextlib
import json
import os
import random
import signal
import types

import numpy as np
import pytest
from toys import CONFIG, LABELS
from written_runs import evaluation, random_logits, write_run

from vivit_jax import cli
from vivit_jax.errors import UserError
from vivit_jax.files import sealed
from vivit_jax.runs.record import open_run, read_evaluation

SECONDS = 20  # within which a command must have refused


@contextlib.contextmanager
def no_longer_than(seconds):
    """An error in the midst of whatever takes longer, a read that never ends included."""

    def end(*_):
        raise TimeoutError(f"still not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def runs(tmp_path):
    label = np.arange(6) % 3
    for seed, name in enumerate(("a", "b")):
        write_run(tmp_path / name, evaluation(label, random_logits(label, 3, 1.0, seed), LABELS), CONFIG, tmp_path / "data")
    return types.SimpleNamespace(a=tmp_path / "a", b=tmp_path / "b")


@pytest.mark.fault(
    promise="Impossible scores are not shown as a run's",
    provoked="evaluation.json with one digit changed: a top-1 that is not that of the hits, and shares above one",
    seen="one line that names the file and says to evaluate again; exit code 2",
    trials=3,
)
@pytest.mark.parametrize(("key", "value"), [("top1", 0.7), ("top5", 9.0), ("mean_class", 1.5)])
def test_scores_that_contradict_each_other(key, value, runs, capsys):
    path = runs.a / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert cli.main(["compare", str(runs.a), str(runs.b), "--no_speed"]) == 2
    assert capsys.readouterr().err.startswith(f"vivit: {path} is not what `vivit evaluate` writes")


@pytest.mark.fault(
    promise="No byte of a run's scores or of its configuration changes unnoticed",
    provoked="one bit flipped at random in evaluation.json, and in config.json",
    seen="one line that names the file: an error, exit code 2, or a warning that it has changed since it was written",
    trials=120,
)
@pytest.mark.parametrize(("name", "read"), [("evaluation.json", read_evaluation), ("config.json", lambda path: open_run(path.parent))])
def test_a_flipped_bit_of_a_record(name, read, runs, capsys):
    path, draw = runs.a / name, random.Random(0)
    if name == "config.json":
        path.write_text(json.dumps(sealed(json.loads(path.read_text()))))
    whole, contents = read(path), path.read_bytes()
    assert not capsys.readouterr().out
    for _ in range(60):
        changed = bytearray(contents)
        changed[draw.randrange(len(contents))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        try:
            same = read(path) == whole
            told = capsys.readouterr().out
        except UserError as error:
            same, told = False, str(error)
        assert same or str(runs.a) in told


@pytest.mark.fault(
    promise="Anything but a file in the place of a run's record is refused at once",
    provoked="config.json, metrics.jsonl and evaluation.json of a run replaced in turn by a pipe that nobody writes to; three commands",
    seen="one line that names the file, within seconds; exit code 2",
    trials=5,
)
@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("config.json", ("inspect", "A")),
        ("config.json", ("evaluate", "--workdir", "A")),
        ("config.json", ("compare", "A", "B", "--no_speed")),
        ("evaluation.json", ("compare", "A", "B", "--no_speed")),
        ("metrics.jsonl", ("compare", "A", "B", "--no_speed")),
    ],
)
def test_a_pipe_in_the_place_of_a_record(name, command, runs, capsys):
    (runs.a / name).unlink()
    os.mkfifo(runs.a / name)
    words = [word.replace("A", str(runs.a)).replace("B", str(runs.b)) for word in command]
    with no_longer_than(SECONDS):
        assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(runs.a) in error
    assert name in error


def test_runs_in_folders_that_are_not_utf8_are_compared(runs, tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    there = [str(run.rename(folder / run.name)) for run in (runs.a, runs.b)]
    assert cli.main(["compare", *there, "--no_speed", "--out", str(tmp_path / "out")]) == 0
    assert "caf\\udce9" in json.loads((tmp_path / "out" / "compare.json").read_text())["runs"][0]["path"]
