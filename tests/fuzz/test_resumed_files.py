"""What a command that was interrupted goes on from, damaged: it goes on with what is whole, or the one documented error comes."""

import contextlib
import fcntl
import json
import os
import shutil
import types
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import CHANGES, examples, mutated
from small_models import LABELS
from system_limits import largest_file

from vivit_jax.config import resolve
from vivit_jax.data.layouts.base import Clip
from vivit_jax.data.preparation.journal import Journal
from vivit_jax.data.preparation.transcode import Facts, Transcoded
from vivit_jax.errors import UserError
from vivit_jax.inference.row_files import open_rows
from vivit_jax.inference.rows import RowsOfModel
from vivit_jax.runs.stopping import Refused
from vivit_jax.runs.workdir import Workdir

TABLE = RowsOfModel(types.SimpleNamespace(labels=LABELS))
MADE = {"model": "a", "window": 1.0, "views": [1, 1]}
ROWS = [{"video": name, "start": start, "end": start + 1, "label": LABELS[0], "probability": 0.5} for name in "ab" for start in range(3)]
DEEP = "[" * 100_000


def jobs(folder):
    return [[Clip(f"{name}.mp4", "train", "x", folder / f"{name}.mp4")] for name in "abc"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A journal of three jobs, and what they made."""
    folder = tmp_path_factory.mktemp("journal")
    made = [[Transcoded(name.encode() * 40, Facts(4, Fraction(25, 2), 16, 16, ("rotated",), 40, "0" * 64))] for name in "abc"]
    with Journal(folder / "done", 32) as journal:
        for job, videos in zip(jobs(folder), made, strict=True):
            job[0].source.touch()
            journal.add(job, videos)
    return folder, made


@pytest.mark.fault(
    promise="A damaged journal of a preparation costs only work that is done again",
    provoked="the journal of three jobs with up to six mutations",
    seen="the videos of each job as they were, or none, and then they are made again",
    trials=40,
)
@examples(40)
@given(changes=CHANGES)
@example(changes=[("write", 0.9, b'"sha255"', 1)])
def test_a_damaged_journal(finished, tmp_path_factory, changes):
    folder, made = finished
    path = tmp_path_factory.mktemp("damaged") / "done"
    path.write_bytes(mutated((folder / "done").read_bytes(), changes))
    _check_journal(path, jobs(folder), made)


@pytest.mark.parametrize(
    ("old", "new"), [(b'"sha256"', b'"sha255"'), (b'"fps"', b'"fpt"'), (b'"25/2"', b'"25/0"'), (b'"bytes"', b'"byte!"')]
)
def test_a_name_that_changed_in_a_journal(finished, tmp_path, old, new):
    folder, made = finished
    (tmp_path / "done").write_bytes((folder / "done").read_bytes().replace(old, new))
    _check_journal(tmp_path / "done", jobs(folder), made)


def _check_journal(path, its_jobs, made):
    with Journal(path, 32) as journal:
        for job, videos in zip(its_jobs, made, strict=True):
            assert journal.get(job) in (videos, None)
        journal.add(its_jobs[0], made[0])
        assert journal.get(its_jobs[0]) == made[0]


@pytest.fixture(scope="module", params=["csv", "jsonl"])
def begun(request, tmp_path_factory):
    """A file of predictions that was begun, with the record beside it."""
    path = tmp_path_factory.mktemp("rows") / f"rows.{request.param}"
    with open_rows(path, TABLE, MADE, every=1.0) as rows:
        rows.add(ROWS)
        rows.end("a")
        rows.end("c", "no video")
    return path


def gone_on(path):
    """Goes on with a file of rows, one more window; the file holds what it held of whole rows, or is as it was."""
    before = path.read_bytes()
    try:
        with open_rows(path, TABLE, MADE, every=1.0) as rows:
            kept = path.read_bytes()
            whole_lines = before.rpartition(b"\n")[0]
            assert before.startswith(kept) or (not whole_lines.strip() and kept == b"video,start,end,label,probability\n")
            first = rows.first("b")
            assert first is None or isinstance(first, int)
            rows.add(ROWS[:1])
    except UserError as error:
        assert "\n" not in str(error)
        assert path.read_bytes() == before


@pytest.mark.fault(
    promise="A damaged file of predictions is continued after its whole rows, or refused and left as it is",
    provoked="the rows, or the record beside them, with up to six mutations or values of other kinds",
    seen="the whole rows are kept, or one line that names the file",
    trials=80,
)
@examples(40)
@given(changes=CHANGES, of_record=st.booleans())
def test_damaged_rows(begun, tmp_path_factory, changes, of_record):
    path = shutil.copytree(begun.parent, tmp_path_factory.mktemp("damaged") / "rows") / begun.name
    target = path.with_name(f"{path.name}.json") if of_record else path
    target.write_bytes(mutated(target.read_bytes(), changes))
    gone_on(path)


@pytest.mark.parametrize("record", [DEEP, '{"made": [], "failed": {}}', '{"made": {}, "failed": ["ab"]}', '{"made": 1, "failed": {}}'])
def test_a_record_of_another_kind_is_refused(begun, tmp_path, record):
    path = shutil.copytree(begun.parent, tmp_path / "rows") / begun.name
    path.with_name(f"{path.name}.json").write_text(record)
    with pytest.raises(UserError, match=r"give another --out, or --overwrite"), open_rows(path, TABLE, MADE, every=1.0):
        pass


def test_a_file_that_another_process_made_meanwhile_is_not_removed(begun, tmp_path, monkeypatch):
    path = shutil.copytree(begun.parent, tmp_path / "rows") / begun.name
    rows, lexists = path.read_bytes(), os.path.lexists

    def seen(asked):  # the other process makes the file just after this one has looked
        return os.fspath(asked) != os.fspath(path) and lexists(asked)

    monkeypatch.setattr(os.path, "lexists", seen)
    with pytest.raises(UserError, match="was begun with"), open_rows(path, TABLE, MADE | {"views": [9, 9]}, every=1.0):
        pass
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is writing it"), open_rows(path, TABLE, MADE, every=1.0):
            pass
    assert path.read_bytes() == rows


@pytest.mark.parametrize("start", ["1e999", "-1", "nan"])
def test_a_time_that_no_row_has_is_refused(begun, tmp_path, start):
    path = shutil.copytree(begun.parent, tmp_path / "rows") / begun.name
    line = f"a,{start},1,{LABELS[0]},0.5" if path.suffix == ".csv" else json.dumps(ROWS[0]).replace('"start": 0', f'"start": {start}')
    path.write_text(path.read_text() + line.replace("nan", "NaN") + "\n")
    with pytest.raises(UserError, match="holds a line that is not one of its rows"), open_rows(path, TABLE, MADE, every=1.0):
        pass


EXPERIMENT = resolve({"model": {"size": "Ti", "num_classes": 3}, "data": {"name": "toys"}})


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A work directory with its configuration."""
    workdir = Workdir(tmp_path_factory.mktemp("runs") / "run")
    workdir.record(EXPERIMENT)
    workdir.release()
    return workdir.path


def start_in(path):
    """A start of the run, as far as its configuration is looked at and written."""
    workdir = Workdir(path)
    try:
        workdir.check(EXPERIMENT)
        workdir.record(EXPERIMENT)
    except (UserError, Refused) as error:
        assert "\n" not in str(error)
        return str(error)
    finally:
        workdir.release()
    return None


@pytest.mark.fault(
    promise="A damaged config.json of a work directory is refused or changes nothing",
    provoked="config.json with up to six mutations, in a run with checkpoints and in one without",
    seen="one line that names the file, or the run goes on under its configuration",
    trials=40,
)
@examples(40)
@given(changes=CHANGES, begun=st.booleans())
def test_a_damaged_config(recorded, tmp_path_factory, changes, begun):
    path = shutil.copytree(recorded, tmp_path_factory.mktemp("damaged") / "run")
    harmed = mutated((path / "config.json").read_bytes(), changes)
    (path / "config.json").write_bytes(harmed)
    if begun:
        (path / "checkpoints" / "5").mkdir(parents=True)
    if start_in(path) is None:
        assert json.loads((path / "config.json").read_text())["config"]
    else:
        assert (path / "config.json").read_bytes() == harmed


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("contents", [b"", b"\xff", b"[]", b"null", b'{"config": 1}', b'{"config": {}}', DEEP.encode(), None])
def test_a_config_that_is_none(recorded, tmp_path, contents, begun):
    path = shutil.copytree(recorded, tmp_path / "run")
    (path / "config.json").unlink()
    with contextlib.suppress(TypeError):
        (path / "config.json").write_bytes(contents)
    if contents is None:
        (path / "config.json").mkdir()
    if begun:
        (path / "checkpoints" / "5").mkdir(parents=True)
    told = start_in(path)
    if contents == b'{"config": {}}' and not begun:  # nothing was trained by it, so that another may take its place
        assert told is None
    else:
        assert "config.json is" in told


def test_a_model_directory_is_no_work_directory(model_dir, tmp_path):
    """A run writes a file of the same name as the model's."""
    path = shutil.copytree(model_dir, tmp_path / "model")
    before = {file.name: file.read_bytes() for file in model_dir.iterdir()}
    with pytest.raises(UserError, match="cannot hold a run: it is a model directory"):
        Workdir(path)
    assert {file.name: file.read_bytes() for file in path.iterdir() if file.name != ".lock"} == before


def test_a_work_directory_on_a_full_disk_is_named(tmp_path):
    with largest_file(0), pytest.raises(OSError, match="File too large; raise the limit") as caught:
        Workdir(tmp_path / "run")
    assert caught.value.filename == str(tmp_path / "run")
    assert not list(tmp_path.iterdir())
