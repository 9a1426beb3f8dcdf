"""Only whole checkpoints are restored; what is not whole is named."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
from system_limits import largest_file

from vivit_jax.runs import manifest
from vivit_jax.runs.checkpoint import Checkpoints
from vivit_jax.runs.stopping import Stopped


def state_of(step):
    return {
        "params": {"kernel": np.full((64, 64), step, np.float32), "bias": np.arange(7) + step},
        "average": None,
        "step": np.asarray(step),
    }


@pytest.fixture
def saved(tmp_path):
    """A directory with whole checkpoints of steps 1 and 2."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for step in (1, 2):
        checkpoints.save(step, state_of(step), {"data": [f"position {step}"]})
    checkpoints.close()
    return tmp_path / "checkpoints"


def restored_step(directory):
    state, facts = Checkpoints(directory, keep=2).restore_latest(state_of(0))
    step = int(state["step"])
    jax.tree.map(np.testing.assert_array_equal, state, state_of(step))
    assert facts == {"data": [f"position {step}"]}
    return step


def files_of(step_dir):
    return sorted(path for path in step_dir.rglob("*") if path.is_file() and path.stat().st_size)


def test_the_newest_whole_step_comes_back(saved):
    assert restored_step(saved) == 2


def test_the_newest_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3, 4):
        checkpoints.save(step, state_of(step), {})
    checkpoints.close()
    assert checkpoints.steps() == [3, 4]
    assert not list(tmp_path.glob("[12]*"))


def test_no_checkpoint_is_none(tmp_path):
    assert Checkpoints(tmp_path / "none", keep=1).restore_latest(state_of(0)) is None


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES = {"flipped": flip, "truncated": truncate, "emptied": lambda path: path.write_bytes(b""), "deleted": lambda path: path.unlink()}


@pytest.mark.fault(
    promise="A damaged file of a checkpoint is refused by name, and the step before is taken",
    provoked="each file of a checkpoint has a bit flipped, is cut, emptied or deleted",
    seen="`checkpoint 2 is damaged and refused`, the file's name, `falling back to checkpoint 1`",
    trials=4,
)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_any_kind_is_refused_by_name(saved, damage, capsys):
    for path in files_of(saved / "2"):
        original = path.read_bytes()
        DAMAGES[damage](path)
        from vivit_jax.runs.manifest import damage as damage_of

        assert str(path.relative_to(saved / "2")) in damage_of(saved / "2")
        path.write_bytes(original)
    DAMAGES[damage](files_of(saved / "2")[-1])
    assert restored_step(saved) == 1
    output = capsys.readouterr().out
    assert "checkpoint 2 is damaged and refused" in output
    assert str(files_of(saved / "refused-2")[-1].name if damage in ("flipped", "truncated") else "") in output
    assert "falling back to checkpoint 1" in output


def test_a_step_that_was_refused_can_be_saved_again(saved):
    flip(files_of(saved / "2")[0])
    checkpoints = Checkpoints(saved, keep=2)
    checkpoints.restore_latest(state_of(0))
    checkpoints.save(2, state_of(2), {"data": ["position 2"]})
    checkpoints.close()
    assert restored_step(saved) == 2


@pytest.mark.fault(
    promise="A checkpoint whose manifest is damaged is refused",
    provoked="the manifest holds one brace",
    seen="`its manifest 2.sha256.json cannot be read`; the step before is taken",
    trials=1,
)
def test_a_damaged_manifest_refuses_its_step(saved, capsys):
    (saved / "2.sha256.json").write_text("{")
    assert restored_step(saved) == 1
    assert "its manifest 2.sha256.json cannot be read" in capsys.readouterr().out


@pytest.mark.fault(
    promise="A checkpoint without a manifest is never loaded",
    provoked="the manifest is deleted",
    seen="`checkpoint 2 has no manifest`; the step before is taken",
    trials=1,
)
def test_a_missing_manifest_means_a_save_that_was_cut_off(saved, capsys):
    (saved / "2.sha256.json").unlink()
    assert restored_step(saved) == 1
    assert "checkpoint 2 has no manifest" in capsys.readouterr().out
    assert not (saved / "2").exists()


@pytest.mark.fault(
    promise="A run does not silently begin again if all its checkpoints are damaged",
    provoked="a bit is flipped in each of two checkpoints",
    seen="`every checkpoint in ... is damaged (steps 2, 1)`",
    trials=1,
)
def test_nothing_but_damaged_checkpoints_stops_the_run(saved):
    for step in ("1", "2"):
        flip(files_of(saved / step)[0])
    with pytest.raises(Stopped, match=r"every checkpoint in .* is damaged \(steps 2, 1\)"):
        Checkpoints(saved, keep=2).restore_latest(state_of(0))


@pytest.mark.fault(
    promise="An unfinished save is not used",
    provoked="a checkpoint under the temporary name that Orbax gives it",
    seen="the step before is taken",
    trials=1,
)
def test_an_unfinished_save_is_not_adopted(saved):
    (saved / "2").rename(saved / "3.orbax-checkpoint-tmp-0")
    (saved / "2.sha256.json").unlink()
    assert restored_step(saved) == 1


SAVE_FOREVER = """
import sys
import numpy as np
sys.path[:0] = sys.argv[2:]
from test_checkpoint import state_of
from vivit_jax.runs import manifest
from vivit_jax.runs.checkpoint import Checkpoints
checkpoints = Checkpoints(__import__("pathlib").Path(sys.argv[1]), keep=2)
restored = checkpoints.restore_latest(state_of(0))
step = int(restored[0]["step"]) if restored else 0
while True:
    step += 1
    checkpoints.save(step, state_of(step), {"data": [f"position {step}"]})
    checkpoints.finish()
    print(step, flush=True)
"""


@pytest.mark.fault(
    promise="No half-written checkpoint is used, and the run goes on from the newest whole one",
    provoked="a process that saves without pause is killed by SIGKILL at random moments",
    seen="the last step that was announced, or the one after it, with whole arrays and facts",
    trials=10,
)
@pytest.mark.slow
def test_kill_9_at_random_moments_loses_no_whole_checkpoint(tmp_path):
    from pathlib import Path

    here = Path(__file__).parent
    generator = np.random.default_rng()
    command = [sys.executable, "-c", textwrap.dedent(SAVE_FOREVER), str(tmp_path / "checkpoints"), *map(str, (here, *here.parents[:2]))]
    newest = 0
    for _ in range(10):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert int(process.stdout.readline()) in (newest + 1, newest + 2)
        delay = generator.uniform(0, 0.3)
        killer = subprocess.Popen(
            [sys.executable, "-S", "-c", f"import os, time; time.sleep({delay}); os.kill({process.pid}, {signal.SIGKILL.value})"]
        )
        told = [newest + 1, *map(int, process.stdout.read().split())]
        killer.wait()
        process.wait()
        step = restored_step(tmp_path / "checkpoints")
        assert step in (told[-1], told[-1] + 1, told[-1] + 2)
        newest = step


def test_facts_are_json(saved):
    assert json.loads((saved / "2.sha256.json").read_text())


@pytest.mark.fault(
    promise="An error of the disk under a checkpoint is reported as such",
    provoked="a limit on the size of files, under a save",
    seen="`cannot save the checkpoint of step 3`, the system's reason, what to do, and that the one before is intact",
    trials=1,
)
def test_a_file_that_may_not_grow_is_told_as_such(saved):
    checkpoints = Checkpoints(saved, keep=2)
    told = pytest.raises(Stopped, match=r"File too large; raise the limit of a file's size .*; the checkpoint of step 2 is intact")
    with contextlib.closing(checkpoints), largest_file(100), told:
        checkpoints.save(3, state_of(3), {"data": ["position 3"]})
        checkpoints.finish()
    assert restored_step(saved) == 2


@pytest.mark.fault(
    promise="A checkpoint that cannot be read for the moment is not treated as damaged",
    provoked="reading a file of the newest checkpoint fails, as without the right to read it, or on a network disk that is away",
    seen="the system's reason; no checkpoint is renamed, and the same command goes on from it later",
    trials=3,
)
@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EMFILE])
def test_what_cannot_be_read_just_now_is_no_damage(saved, monkeypatch, number):
    def refused(path):
        raise OSError(number, os.strerror(number), str(path))

    before = sorted(saved.rglob("*"))
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "sha256", refused)
        with pytest.raises(OSError, match=os.strerror(number)):
            restored_step(saved)
    assert sorted(saved.rglob("*")) == before
    assert restored_step(saved) == 2
