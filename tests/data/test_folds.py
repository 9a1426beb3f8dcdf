"""Folds of a data set: complete, disjoint, never parting a group, and the same for ever."""

import collections
import json

import films
import numpy as np
import pytest

from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.folds import Folds, assign_folds, clip_groups, split_and_folds
from vivit_jax.data.layouts import Reading
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.errors import UserError


@pytest.mark.parametrize("count", [2, 3, 5, 10])
@pytest.mark.parametrize("sizes", ["alone", "pairs", "uneven"])
def test_no_group_is_parted_and_folds_are_of_one_size(count, sizes):
    generator = np.random.default_rng(count)
    members = {"alone": np.ones(60, int), "pairs": np.full(30, 2), "uneven": generator.integers(1, 6, 40)}[sizes]
    groups = [f"person {number}" for number, size in enumerate(members) for _ in range(size)]
    classes = [(int(generator.integers(4)),) for _ in groups]
    folds = assign_folds(groups, classes, count)
    found = collections.defaultdict(set)
    for group, fold in zip(groups, folds, strict=True):
        found[group].add(fold)
    assert all(len(of_group) == 1 for of_group in found.values())
    held = np.bincount(folds, minlength=count + 1)[1:]
    assert held.min() > 0
    assert held.max() - held.min() <= max(4, 2 * members.max())
    if sizes == "alone":
        for name in range(4):
            of_class = np.bincount([fold for fold, (label,) in zip(folds, classes, strict=True) if label == name], minlength=count + 1)[1:]
            assert of_class.max() - of_class.min() <= 1
    shuffled = generator.permutation(len(groups))
    again = assign_folds([groups[i] for i in shuffled], [classes[i] for i in shuffled], count)
    assert [folds[i] for i in shuffled] == again


def test_the_assignment_is_the_one_written_down_here():
    """Work directories of years ago name these folds: they must stay."""
    names = [f"clip {number}" for number in range(10)]
    assert assign_folds(names, [(number % 2,) for number in range(10)], 3) == WRITTEN
    assert assign_folds(names, [(number % 2,) for number in range(10)], 3, seed=1) == WRITTEN_1


WRITTEN = [1, 2, 3, 2, 1, 1, 3, 3, 2, 1]
WRITTEN_1 = [1, 3, 2, 2, 2, 1, 3, 2, 3, 1]


def test_fewer_groups_than_folds_are_refused():
    with pytest.raises(UserError, match="2 groups of clips are too few for 3 folds"):
        assign_folds(["a", "a", "b"], [(0,), (0,), (0,)], 3)


@pytest.mark.parametrize(
    "text", ["all@fold1of5", "train+val@not1,2of5", "all@fold1of5:person", "all@not3of5:person:7", "all@fold1of5::7", "all@fold1of5:100%"]
)
def test_a_fold_is_told_as_a_split(text):
    splits, folds = split_and_folds(text)
    assert f"{splits}@{folds}" == text
    assert split_and_folds("train[:10%]+val") == ("train[:10%]+val", None)


@pytest.mark.parametrize("text", ["all@", "all@fold", "all@fold0of5", "all@fold6of5", "all@fold1of1", "all@fold1of5:a:b", "all@1of5"])
def test_what_is_no_fold_is_refused(text):
    with pytest.raises(UserError, match="fold"):
        split_and_folds(text)


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """Twelve clips of five people in two splits; and of one long video three segments without a person."""
    root, rows = tmp_path_factory.mktemp("folds"), ["path,label,split,person"]
    for number in range(12):
        films.write(root / f"{number}.mp4", films.scene(6, 16, 16, number))
        rows.append(f"{number}.mp4,{'ab'[number % 2]},{'train' if number < 8 else 'test'},person {number % 5}")
    (root / "list.csv").write_text("\n".join([*rows, ""]))
    options = {"reading": Reading(group="person"), "data_dir": root / "data", "workers": 1}
    with_warning = prepare("csv", root / "list.csv", name="people", **options)
    assert with_warning.clips == 12
    films.write(root / "long.mp4", films.scene(75, 16, 16, 99))
    segments = [f"long.mp4,ab,train,{start},{start + 1}".replace("ab", "ab"[start % 2]) for start in range(3)]
    rows = ["path,label,split,start,end", *segments, *(f"{number}.mp4,{'ab'[number % 2]},train,," for number in range(6)), ""]
    (root / "segments.csv").write_text("\n".join(rows))
    prepare("csv", root / "segments.csv", name="segments", data_dir=root / "data", workers=1)
    return root / "data"


def names_of(dataset, split):
    return [record["name"] for record in dataset.source(split)]


@pytest.mark.parametrize("column", ["a:b", "a/b", "../a", "100%", "50%3A", "x@y+z[1]", "a b", "été"])
def test_a_column_may_have_any_name(column):
    folds = Folds((1,), 2, group=column, seed=3)
    assert split_and_folds(f"all@{folds}") == ("all", folds)


def test_folds_of_a_set_are_complete_and_people_are_not_parted(grouped):
    dataset, seen = open_dataset("people", grouped), []
    for number in (1, 2, 3):
        test, train = names_of(dataset, f"all@fold{number}of3"), names_of(dataset, f"all@not{number}of3")
        assert sorted(test + train) == sorted(names_of(dataset, "all"))
        people = [{int(name.removesuffix(".mp4")) % 5 for name in names} for names in (test, train)]
        assert not people[0] & people[1]
        seen += test
    assert sorted(seen) == sorted(names_of(dataset, "all"))
    assert names_of(dataset, "all@fold1of3:group") == names_of(dataset, "all@fold1of3")
    assert names_of(dataset, "all@fold1of3:person") == names_of(dataset, "all@fold1of3")  # as `vivit prepare --group` was told
    assert {name for name in names_of(dataset, "train@fold1of3")} <= set(names_of(dataset, "train"))
    two = names_of(dataset, "all@fold1of3") + names_of(dataset, "all@fold2of3")
    assert sorted(names_of(dataset, "all@fold1,2of3")) == sorted(two)
    assert dataset.has("all@fold1of3") and not dataset.has("nosuch@fold1of3")
    with pytest.raises(UserError, match="no column 'kitchen'"):
        dataset.source("all@fold1of3:kitchen")


def test_a_set_of_an_older_version_keeps_its_groups(grouped, tmp_path):
    import shutil

    new = open_dataset("people", grouped)
    expected = [names_of(new, f"all@fold{number}of3") for number in (1, 2, 3)]
    shutil.copytree(grouped / "people", tmp_path / "people")
    folder = tmp_path / "people/1.0.0"
    (folder / "clips.csv").unlink()
    listed = json.loads((folder / "manifest.json").read_text())
    del listed["contents"]["files"]["clips.csv"]
    from vivit_jax.data import manifest

    (folder / "manifest.json").write_text(json.dumps(listed | {"sha256": manifest._digest(listed["contents"])}))
    old = open_dataset("people", tmp_path)
    assert [names_of(old, f"all@fold{number}of3") for number in (1, 2, 3)] == expected


def test_segments_of_one_video_are_not_parted(grouped):
    dataset = open_dataset("segments", grouped)
    folds = [names_of(dataset, f"all@fold{number}of3") for number in (1, 2, 3)]
    assert sorted(sum("long" in name for name in fold) for fold in folds) == [0, 0, 3]
    with pytest.raises(UserError, match="have no group"):
        dataset.source("all@fold1of3:group")


def test_copies_of_one_video_are_not_parted():
    rows = [
        {"split": "train", "name": name, "group": group, "source": f"{name}.mp4", "sha256": contents}
        for name, group, contents in (("a", "x", "1"), ("b", "y", "1"), ("c", "y", "2"), ("d", "z", "2"), ("e", "w", "3"), ("f", "v", ""))
    ]
    names = [("train", row["name"]) for row in rows]
    assert clip_groups(names, rows, None, "set") == ["x", "x", "x", "x", "w", "v"]
    assert clip_groups(names, [row | {"group": ""} for row in rows], None, "set") == ["a.mp4", "a.mp4", "c.mp4", "c.mp4", "e.mp4", "f.mp4"]
    assert clip_groups(names, rows, "group", "set") == ["x", "y", "y", "z", "w", "v"]  # as it was asked for


def test_clips_without_a_group_do_not_part_the_groups_of_others():
    names = [("train", name) for name in "abcd"]
    groups = {"a": "person 1", "b": "person 1", "c": "", "d": ""}
    rows = [{"split": "train", "name": name, "group": group, "source": f"{name}.mp4"} for name, group in groups.items()]
    assert clip_groups(names, rows, None, "set") == ["person 1", "person 1", "c.mp4", "d.mp4"]


def test_folds_that_do_not_exist_are_refused():
    for numbers, count in (((), 3), ((0,), 3), ((4,), 3), ((1,), 1)):
        with pytest.raises(UserError, match="numbered from 1"):
            Folds(numbers, count)
