"""Folders of checkpoints in which anything has happened to any file: a step is taken as it was saved, or the one documented error comes."""

import collections
import contextlib
import hashlib
import os
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import CHANGES, examples, mutated

from vivit_jax.runs.checkpoint import Checkpoints
from vivit_jax.runs.stopping import Refused

STEPS = (1, 2, 3)
STATE = {"params": {"kernel": np.ones((8, 8), np.float32)}, "step": np.asarray(0)}
NAMES = st.sampled_from(["1", "2", "7", "03", "٣", "9" * 40, "7.sha256.json", "refused-3", "3.orbax-checkpoint-tmp", "x"])
PLACE = st.floats(0, 1, exclude_max=True)
MANIFESTS = [
    "null",
    "[]",
    "{}",
    "0",
    '{"a": 1}',
    '{"facts/metadata": []}',
    '{"../1/facts/metadata": {"size": 1}}',
    "[" * 100_000,
    '{"\\u0000": {}}',
]
HARMS = st.lists(
    st.tuples(st.just("mutate"), PLACE, CHANGES)
    | st.tuples(st.sampled_from(["delete", "empty folder", "loop", "nowhere", "elsewhere", "pipe"]), PLACE, st.none())
    | st.tuples(st.sampled_from(["exchange", "copy"]), PLACE, PLACE)
    | st.tuples(st.sampled_from(["rename", "add file", "add folder"]), PLACE, NAMES)
    | st.tuples(st.just("manifest"), PLACE, st.sampled_from(MANIFESTS)),
    min_size=1,
    max_size=4,
)


class Chosen(Exception):  # noqa: N818 (no error: it ends the call once the step is chosen, before Orbax reads arrays, which takes longer)
    """The facts of the step that would be restored."""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Three whole steps."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    checkpoints = Checkpoints(folder, keep=3)
    for step in STEPS:
        checkpoints.save(step, STATE | {"step": np.asarray(step)}, {"step": step, "data": [f"position {step}"], "best": {"step": 1}})
    checkpoints.close()
    return folder


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def everything(folder):
    """All names, and what they are."""
    return {str(path.relative_to(folder)): os.lstat(path).st_mode for path in folder.rglob("*")} | files(folder)


def contents(folder):
    """How often each content is there, whatever its name."""
    return collections.Counter(hashlib.sha256(content).digest() for content in files(folder).values())


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def at(paths, place):
    return paths[int(place * len(paths))]


def harm(folder, kind, place, how):
    """One harm to the file or folder that the number `place` chooses among all of them."""
    paths = sorted(folder.rglob("*"))
    path = at(paths, place)
    match kind:
        case "mutate":
            path = at([each for each in paths if each.is_file()], place)
            path.write_bytes(mutated(path.read_bytes(), how))
        case "manifest":
            at([folder / f"{step}.sha256.json" for step in STEPS], place).write_text(how)
        case "elsewhere":
            away = folder.parent / f"away-{len(list(folder.parent.iterdir()))}"
            path.rename(away)
            path.symlink_to(away)
        case "exchange" | "copy":
            other = at(paths, how)
            if path == other or path in other.parents or other in path.parents:
                return
            if kind == "exchange":
                between = path.rename(folder.parent / "between")
                other.rename(path)
                between.rename(other)
                return
            remove(other)
            (shutil.copytree if path.is_dir() else shutil.copyfile)(path, other)
        case "rename":
            if not os.path.lexists(path.with_name(how)):
                path.rename(path.with_name(how))
        case "add file":
            (folder / how).touch()
        case "add folder":
            (folder / how).mkdir()
        case _:
            remove(path)
            if kind == "empty folder":
                path.mkdir()
            elif kind == "pipe":
                os.mkfifo(path)
            elif kind != "delete":
                path.symlink_to(path.name if kind == "loop" else "nowhere")


def taken(folder):
    """The step that a run would go on from, with its files; or what it is told."""
    try:
        Checkpoints(folder, keep=3).restore_latest(STATE, lambda facts: _raise(Chosen(facts)))
    except Refused as refusal:
        return str(refusal)
    except Chosen as chosen:
        step = chosen.args[0]["step"]
        return step, files(folder / str(step))
    return None


def _raise(error):
    raise error


@pytest.mark.fault(
    promise="Whatever happens to the files of checkpoints, a run goes on from an intact step or says why not, and loses nothing",
    provoked="up to four harms to any of the files and folders of three checkpoints: mutated, deleted, exchanged, copied, renamed, moved "
    "behind a link, replaced by a folder, a pipe or a link to itself",
    seen="the newest step that is whole and has its own name, byte for byte; or one line, with every file as it was; the same again",
    trials=80,
)
@examples(80)
@given(harms=HARMS)
def test_harmed_checkpoints(original, tmp_path_factory, harms):
    folder = shutil.copytree(original, tmp_path_factory.mktemp("harmed") / "checkpoints")
    for one in harms:
        with contextlib.suppress(OSError, IndexError):  # such as of a loop of links that is copied
            harm(folder, *one)
    check(original, folder)


def check(original, folder):
    before, held = everything(folder), contents(folder.parent)
    found = taken(folder)
    if isinstance(found, tuple):
        step, of_step = found
        assert of_step == files(original / str(step))
        assert not held - contents(folder.parent)
    else:
        assert everything(folder) == before
        assert found is None or "\n" not in found
    again = taken(folder)
    assert again == found
    return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize(("names", "step"), [(("2", "3"), 1), (("1", "3"), 2), (("3", "7"), 2), (("3", "03"), 2), (("3", "٣"), 2)])
def test_a_step_under_another_name_is_refused(original, tmp_path, names, step):
    """Its checksums are right; going on from it under that name would count other steps than were taken."""
    folder = shutil.copytree(original, tmp_path / "checkpoints")
    a, b = names
    for suffix in ("", ".sha256.json"):
        between = (folder / f"{a}{suffix}").rename(folder / f"between{suffix}")
        if (folder / f"{b}{suffix}").exists():
            (folder / f"{b}{suffix}").rename(folder / f"{a}{suffix}")
        between.rename(folder / f"{b}{suffix}")
    assert check(original, folder) == step


def test_a_pipe_in_the_place_of_a_manifest_holds_up_no_later_save(original, tmp_path):
    """Found by the test above and a save after it: the step was moved aside and the pipe was not, so the next save waited for a reader."""
    folder = shutil.copytree(original, tmp_path / "checkpoints")
    harm(folder, "pipe", (sorted(folder.rglob("*")).index(folder / "3.sha256.json") + 0.5) / len(list(folder.rglob("*"))), None)
    assert check(original, folder) == 2
    assert not os.path.lexists(folder / "3.sha256.json")
