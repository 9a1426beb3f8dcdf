"""Prepared sets that are nearly right: their own records come of them, or the one documented error."""

import json
import shutil

import films
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations import CHANGES, examples, mutated

from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.errors import UserError


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("prepared")
    for seed, name in enumerate(("train/run/a", "train/sit/b", "test/run/c")):
        (root / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        films.write(root / "videos" / f"{name}.mp4", films.scene(4, 16, 16, seed))
    prepare("folder", root / "videos", name="mine", data_dir=root / "data", workers=1)
    return root / "data/mine/1.0.0"


@pytest.fixture(scope="module")
def prepared_before(prepared, tmp_path_factory):
    """The set as the version before wrote it: without a manifest."""
    stored = tmp_path_factory.mktemp("before") / "mine/1.0.0"
    shutil.copytree(prepared, stored)
    for name in ("manifest.json", "records.sha256"):
        (stored / name).unlink()
    report = json.loads((stored / "preparation.json").read_text())
    del report["manifest"]
    (stored / "preparation.json").write_text(json.dumps(report))
    return stored


def read(stored):
    dataset = open_dataset("mine", stored.parents[1])
    return [(record["name"], record["label"], bytes(record["video"])) for split in dataset.splits for record in dataset.source(split)]


def harmed(stored, number, changes):
    """What is read with one file mutated, or None where it was refused."""
    files = sorted(path for path in stored.iterdir() if path.is_file())
    path = files[number % len(files)]
    content = path.read_bytes()
    try:
        path.write_bytes(mutated(content.rstrip(b"\0") if "array_record" in path.name else content, changes))
        return read(stored)
    except UserError as error:
        assert "\n" not in str(error)
        return None
    finally:
        path.write_bytes(content)


@pytest.mark.fault(
    promise="A damaged data set gives its own records or one line",
    provoked="one file of the set, metadata and records alike, with up to six mutations",
    seen="exactly the records that were stored, or one line",
    trials=40,
)
@examples(40)
@given(number=st.integers(0, 40), changes=CHANGES)
def test_a_mutated_set(prepared, number, changes):
    assert harmed(prepared, number, changes) in (None, read(prepared))


@examples(40)
@given(number=st.integers(0, 40), changes=CHANGES)
def test_a_mutated_set_of_the_version_before(prepared_before, number, changes):
    harmed(prepared_before, number, changes)
    assert len(read(prepared_before)) == 3
