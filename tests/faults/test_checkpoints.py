"""What becomes of a run whose files were damaged, lost or exchanged: nothing is written over, and the refusal is the same every time."""

import json
import shutil
from pathlib import Path

import pytest
import tiny

from vivit_jax import cli
from vivit_jax.runs.manifest import damage
from vivit_jax.runs.restore import model_variables, verify
from vivit_jax.weights.model_dir import load_model_dir

FLAGS = ("--config.parallel.data=1", "--config.checkpoint.keep=4")
CONFIG = Path(tiny.__file__).with_name("tiny_config.py")


@pytest.fixture(scope="module")
def train():
    """train(workdir, *flags, **environment): `vivit train` in this process on the tiny data set; its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        tiny.take_the_place_of_data(patch.setattr)

        def run(workdir, *flags, **environment):
            with pytest.MonkeyPatch.context() as surroundings:
                for name, value in environment.items():
                    surroundings.setenv(name, value)
                return cli.train(
                    [f"--config={CONFIG}", f"--workdir={workdir}", "--config.parallel.data=1", "--config.checkpoint.keep=4", *flags]
                )

        yield run


@pytest.fixture(scope="module")
def halfway(train, tmp_path_factory):
    """A run that was interrupted after 10 to 14 of its 20 steps."""
    workdir = tmp_path_factory.mktemp("halfway") / "run"
    assert train(workdir, TINY_TERMINATE_AT="14") == 143
    return workdir


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    """A run that was never interrupted."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    assert train(workdir) == 0
    return workdir


@pytest.fixture
def workdir(halfway, tmp_path):
    """A copy of `halfway` to damage."""
    return shutil.copytree(halfway, tmp_path / "run")


def contents(folder):
    """Every file's bytes by name, but for the lock."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def steps(workdir):
    return [saved.step for saved in verify(workdir)]


def flip_all(workdir):
    for step in steps(workdir):
        path = workdir / "checkpoints" / str(step) / "facts" / "metadata"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def delete_manifests(workdir):
    for path in (workdir / "checkpoints").glob("*.sha256.json"):
        path.unlink()


def empty_manifests(workdir):
    for path in (workdir / "checkpoints").glob("*.sha256.json"):
        path.write_text("{}")


def shorten_manifests(workdir):
    for path in (workdir / "checkpoints").glob("*.sha256.json"):
        entries = json.loads(path.read_text())
        path.write_text(json.dumps(dict(list(entries.items())[:-1])))


def delete_checkpoints(workdir):
    shutil.rmtree(workdir / "checkpoints")


def empty_checkpoints(workdir):
    delete_checkpoints(workdir)
    (workdir / "checkpoints").mkdir()


def delete_saved_state(workdir):
    for step in steps(workdir):
        shutil.rmtree(workdir / "checkpoints" / str(step) / "state")


DAMAGES = {
    flip_all: "differs from its SHA-256",
    delete_manifests: "is missing",
    empty_manifests: "lists no files",
    shorten_manifests: "does not list",
    delete_saved_state: "is missing",
    delete_checkpoints: "has lost its checkpoints",
    empty_checkpoints: "has lost its checkpoints",
}


@pytest.mark.fault(
    promise="A run whose checkpoints are all damaged or lost is refused each time, and none of its files is written over",
    provoked="bits flipped in every checkpoint, manifests deleted, emptied and cut short, files deleted, the folder deleted",
    seen="one line with what is wrong and the ways on, exit code 1, three times in a row; every file as it was",
    trials=7,
)
@pytest.mark.parametrize(
    "harm",
    [pytest.param(harm, id=harm.__name__, marks=[] if harm in (flip_all, delete_checkpoints) else pytest.mark.slow) for harm in DAMAGES],
)
def test_a_run_without_a_whole_checkpoint_is_refused_every_time(train, workdir, capsys, harm):
    harm(workdir)
    before = contents(workdir)
    errors = []
    for _ in range(3):
        capsys.readouterr()
        assert train(workdir) == 1
        errors.append(capsys.readouterr().err)
        assert contents(workdir) == before
    assert len(set(errors)) == 1
    assert len(errors[0].splitlines()) == 1
    assert DAMAGES[harm] in errors[0]
    assert "--restart" in errors[0]
    assert "the same command resumes" not in errors[0]


@pytest.mark.slow
def test_restart_puts_everything_aside_and_begins_again(train, workdir, capsys):
    flip_all(workdir)
    before = contents(workdir)
    assert train(workdir, "--restart", TINY_TERMINATE_AT="9") == 143
    assert "--restart" not in capsys.readouterr().err
    assert contents(workdir / "before-1") == before
    assert train(workdir) == 0


@pytest.mark.fault(
    promise="A run goes on from a checkpoint only with the configuration that made it",
    provoked="config.json deleted or exchanged, and the same command with another seed or another model",
    seen="one line that names the keys with the old and the new value, exit code 2; under its own configuration it goes on",
    trials=4,
)
@pytest.mark.parametrize("lost", [pytest.param(True, marks=pytest.mark.slow), False], ids=["deleted", "exchanged"])
def test_a_checkpoint_knows_its_configuration(train, workdir, whole, capsys, lost):
    original = (workdir / "config.json").read_text()
    for section, key, old, new in (("", "seed", 0, 7), ("model.", "hidden_size", 16, 32)):
        exchanged = json.loads(original)
        (exchanged["config"]["model"] if section else exchanged["config"])[key] = new
        (workdir / "config.json").write_text(json.dumps(exchanged))
        if lost:
            (workdir / "config.json").unlink()
        capsys.readouterr()
        assert train(workdir, f"--config.{section}{key}={new}") == 2
        error = capsys.readouterr().err
        assert f"{section}{key}: {old} there, {new} now" in error
        assert len(error.splitlines()) == 1
    if lost:
        assert train(workdir) == 0
        assert tiny.rows(workdir) == tiny.rows(whole)


def test_checkpoints_of_before_without_their_config_are_refused(train, workdir, capsys):
    (workdir / "config.json").unlink()
    make_old(workdir)
    assert train(workdir) == 2
    assert "config.json is gone" in capsys.readouterr().err


def make_old(workdir):
    """Checkpoints as the version before wrote them: facts of three keys, no marks."""
    from vivit_jax.runs.manifest import read_facts, replace_facts

    (workdir / ".saved").unlink(missing_ok=True)
    for step in steps(workdir):
        step_dir = workdir / "checkpoints" / str(step)
        replace_facts(step_dir, {name: read_facts(step_dir)[name] for name in ("data", "best", "evaluated")})
        assert damage(step_dir) is None


@pytest.mark.slow
def test_a_run_of_the_version_before_goes_on(train, workdir, whole):
    make_old(workdir)
    recorded = json.loads((workdir / "config.json").read_text())
    recorded["config"]["training"]["log_every"] = 20
    for name in ("keep_every_epochs", "keep_every_steps", "keep_best"):
        del recorded["config"]["checkpoint"][name]
    (workdir / "config.json").write_text(json.dumps(recorded))
    assert train(workdir) == 0
    assert (workdir / "model" / "model.safetensors").read_bytes() == (whole / "model" / "model.safetensors").read_bytes()


@pytest.mark.fault(
    promise="What a run wrote before its first checkpoint is moved aside, not lost, when the run begins again",
    provoked="a process killed before its first checkpoint, and during its first save",
    seen="a warning that names the folder; the same command trains to the end",
    trials=2,
)
@pytest.mark.slow
@pytest.mark.parametrize("saving", [False, True])
def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(train, halfway, tmp_path, capsys, saving):
    workdir = tmp_path / "run"
    workdir.mkdir()
    for name in ("config.json", "metrics.jsonl"):
        shutil.copy(halfway / name, workdir / name)
    if saving:
        first = steps(halfway)[0]
        shutil.copytree(halfway / "checkpoints" / str(first), workdir / "checkpoints" / str(first))
        (workdir / "checkpoints" / f".{first}.saving").touch()
    rows = (workdir / "metrics.jsonl").read_bytes()
    assert train(workdir) == 0
    assert "before-1" in capsys.readouterr().out
    assert (workdir / "before-1" / "metrics.jsonl").read_bytes() == rows
    assert tiny.rows(workdir)[-1]["step"] == 20


def damage_model(model):
    path = model / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


MODEL_FAULTS = {"damaged": damage_model, "lost": shutil.rmtree, "emptied": lambda model: (model / "config.json").write_text("")}


@pytest.mark.fault(
    promise="The best model so far is checked when a run goes on, and made again from its checkpoint if it is damaged or lost",
    provoked="a bit flipped in model/model.safetensors, model/config.json emptied, model/ deleted",
    seen="a warning that names the step; the final model/ is the same to the last byte; what was damaged lies aside",
    trials=6,
)
@pytest.mark.parametrize("fault", [each if each == "damaged" else pytest.param(each, marks=pytest.mark.slow) for each in MODEL_FAULTS])
@pytest.mark.parametrize("finished", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_best_model_is_made_again(train, halfway, whole, tmp_path, capsys, fault, finished):
    workdir = shutil.copytree(whole if finished else halfway, tmp_path / "run")
    expected = (workdir / "model" / "model.safetensors").read_bytes()
    best = json.loads((workdir / "checkpoints" / str(steps(workdir)[-1]) / "facts" / "metadata").read_text())["best"]["step"]
    assert best in steps(workdir)
    MODEL_FAULTS[fault](workdir / "model")
    assert train(workdir, TINY_TERMINATE_AT="19") == (0 if finished else 143)
    output = capsys.readouterr().out
    assert f"(step {best}, val top1" in output
    assert "it is made again" in output
    assert (workdir / "model" / "model.safetensors").read_bytes() == expected
    assert bool(list(workdir.glob("refused-model-*"))) == (fault != "lost")


@pytest.mark.slow
def test_a_best_model_that_cannot_be_made_again_is_refused_with_a_way_on(train, workdir, capsys):
    best = json.loads((workdir / "checkpoints" / str(steps(workdir)[-1]) / "facts" / "metadata").read_text())["best"]["step"]
    shutil.rmtree(workdir / "checkpoints" / str(best))
    (workdir / "checkpoints" / f"{best}.sha256.json").unlink()
    damage_model(workdir / "model")
    for _ in range(2):
        assert train(workdir) == 2
        error = capsys.readouterr().err
        assert f"(step {best}, val top1" in error
        assert "move it away" in error
        assert len(error.splitlines()) == 1
    (workdir / "model").rename(workdir / "moved")
    assert train(workdir) == 0
    assert "takes its place" in capsys.readouterr().out
    load_model_dir(workdir / "model")
    assert train(workdir) == 0
    assert "takes its place" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_best_model_that_is_lost_at_the_end_gives_way_to_the_last(train, whole, tmp_path, capsys):
    workdir = shutil.copytree(whole, tmp_path / "run")
    best = json.loads((workdir / "evaluation.json").read_text())["step"]
    assert best < 20
    shutil.rmtree(workdir / "model")
    shutil.rmtree(workdir / "checkpoints" / str(best))
    (workdir / "checkpoints" / f"{best}.sha256.json").unlink()
    assert train(workdir) == 0
    assert json.loads((workdir / "evaluation.json").read_text())["step"] == 20
    model = (workdir / "model" / "model.safetensors").read_bytes()
    assert train(workdir) == 0
    assert (workdir / "model" / "model.safetensors").read_bytes() == model
    assert json.loads((workdir / "evaluation.json").read_text())["step"] == 20
    assert not list(workdir.glob("refused-model-*"))


@pytest.mark.fault(
    promise="Resuming removes the half-written files of a killed process, and nothing else",
    provoked="the half files of a killed save, of a model and of a manifest, beside files of the user's own",
    seen="they are gone; the user's files are as they were",
    trials=1,
)
def test_leftovers_are_cleared(train, workdir):
    (workdir / ".model-abcd1234" / "new").mkdir(parents=True)
    (workdir / "checkpoints" / ".10.sha256.json.123").write_text("{")
    (workdir / ".metrics.jsonl.123").write_text("{")
    (workdir / ".notes.123").write_text("mine")
    (workdir / "checkpoints" / "15.orbax-checkpoint-tmp-3").mkdir()
    assert train(workdir) == 0
    names = {path.name for path in [*workdir.iterdir(), *(workdir / "checkpoints").iterdir()]}
    assert not {".model-abcd1234", ".10.sha256.json.123", ".metrics.jsonl.123", "15.orbax-checkpoint-tmp-3"} & names
    assert not [name for name in names if name.endswith(".saving")]
    assert (workdir / ".notes.123").read_text() == "mine"


def test_verify_tells_of_each_checkpoint_and_changes_nothing(workdir):
    first, best, last = steps(workdir)
    damaged = workdir / "checkpoints" / str(first) / "facts" / "metadata"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    before = contents(workdir)
    rows = verify(workdir)
    assert contents(workdir) == before
    assert [(row.step, row.whole, row.evaluated) for row in rows] == [(first, False, None), (best, True, 10), (last, True, 10)]
    assert "facts/metadata has" in rows[0].damage
    assert [row.best for row in rows] == [False, True, False]
    assert rows[1].bytes > 1000


def test_the_model_of_a_checkpoint_is_read_without_the_optimiser(whole, workdir):
    import numpy as np
    from jax.tree_util import tree_leaves

    best = next(row.step for row in verify(whole) if row.best)
    expected = load_model_dir(whole / "model").variables["params"]
    actual = model_variables(whole, best)["params"]
    assert all(np.array_equal(a, b) for a, b in zip(tree_leaves(actual), tree_leaves(expected), strict=True))
    from vivit_jax.errors import UserError

    with pytest.raises(UserError, match="no checkpoint of step 3 "):
        model_variables(whole, 3)
    flip_all(workdir)
    with pytest.raises(UserError, match="is damaged and refused"):
        model_variables(workdir, steps(workdir)[-1])


@pytest.mark.slow
def test_checkpoints_are_kept_by_three_policies(train, tmp_path):
    flags = ("--config.checkpoint.keep=1", "--config.checkpoint.every_steps=20", "--config.evaluation.every_steps=3")
    assert train(tmp_path / "run", *flags, "--config.checkpoint.keep_every_steps=8", "--config.checkpoint.keep_best=True") == 0
    best = next(row.step for row in verify(tmp_path / "run") if row.best)
    assert set(steps(tmp_path / "run")) == {8, 16, 20, best}
