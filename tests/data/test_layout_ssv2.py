"""Something-Something v2 as its publisher hands it out."""

import pytest
from published_sets import lay, refused, remark, told

from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.summary import summarise
from vivit_jax.errors import UserError

SSV2_LABELS = {
    "Holding something next to something": "0",
    "Pushing something from left to right": "1",
    "Tearing something into two pieces": "2",
}
SSV2_TRAIN = [
    {
        "id": "78687",
        "label": "holding potato next to vicks vaporub bottle",
        "template": "Holding [something] next to [something]",
        "placeholders": ["potato", "vicks vaporub bottle"],
    },
    {"id": "42326", "label": "pushing cup", "template": "Pushing [something] from left to right", "placeholders": ["cup"]},
    {"id": "100904", "label": "tearing paper", "template": "Tearing [something] into two pieces", "placeholders": ["paper"]},
]


@pytest.mark.parametrize("prefix", ["something-something-v2-", ""])
def test_ssv2(tmp_path, film, prefix):
    names = [f"20bn-something-something-v2/{number}.webm" for number in (78687, 42326, 74225, 1420)]
    lists = {"labels": SSV2_LABELS, "train": SSV2_TRAIN, "validation": [SSV2_TRAIN[1] | {"id": "74225"}], "test": [{"id": "1420"}]}
    lay(tmp_path, film, names, **{f"labels/{prefix}{name}.json": value for name, value in lists.items()})
    found = read_layout("ssv2", tmp_path / "20bn-something-something-v2", Reading(annotations=(tmp_path / "labels",)))
    assert told(found) == {
        ("train", "78687", "Holding something next to something"),
        ("train", "42326", "Pushing something from left to right"),
        ("val", "74225", "Pushing something from left to right"),
        ("test", "1420", None),
    }
    assert found.labels == tuple(SSV2_LABELS)
    assert found.missing == (("train", "100904"),)
    assert remark(found, "test.json has no labels")
    (tmp_path / "labels/test-answers.csv").write_text("1420;Tearing something into two pieces\n")
    assert ("test", "1420", "Tearing something into two pieces") in told(read_layout("ssv2", tmp_path))


def test_slips_of_ssv2_are_refused_by_entry(tmp_path, film):
    lay(tmp_path, film, ["1.webm"], **{"labels.json": SSV2_LABELS, "train.json": [{"id": "1", "template": "Eating [something]"}]})
    refused("ssv2", tmp_path, r"train\.json entry 1: 'Eating something' is not one of the 3 classes")
    (tmp_path / "train.json").write_text('[{"id": "1"}]')
    refused("ssv2", tmp_path, "entry 1: expected an object with id, template, found no template")
    (tmp_path / "train.json").write_text("[")
    refused("ssv2", tmp_path, r"train\.json: not JSON")
    (tmp_path / "labels.json").write_text('{"a": "0", "b": "2"}')
    refused("ssv2", tmp_path, "must be numbered from 0 to 1")


def test_a_test_split_without_answers_is_listed_and_can_only_be_predicted(tmp_path, film):
    lists = {"labels": SSV2_LABELS, "train": SSV2_TRAIN[:1], "test": [{"id": "1420"}, {"id": "20"}]}
    lay(tmp_path, film, ["78687.webm", "1420.webm"], **{f"{name}.json": value for name, value in lists.items()})
    found = read_layout("ssv2", tmp_path)
    assert ("test", "1420", None) in told(found)
    assert (found.unlabelled, found.missing) == (("test",), (("test", "20"),))
    assert remark(found, "test.json has no labels", "--submission")
    summary = prepare("ssv2", tmp_path, name="ssv2", data_dir=tmp_path / "data", workers=1)
    assert summary.counts["test"] == {"(no label)": 1}
    dataset = open_dataset("ssv2", tmp_path / "data")
    assert dataset.unlabelled == {"test"}
    assert [(record["name"], record["label"]) for record in dataset.any_source("test")] == [("1420", -1)]
    assert summarise(dataset, "test").counts == {"(no label)": 1}
    with pytest.raises(UserError, match="split test of data set ssv2 has no labels"):
        dataset.source("test")
    (tmp_path / "test-answers.csv").write_text("20;Tearing something into two pieces\n")
    found = read_layout("ssv2", tmp_path)
    assert found.unlabelled == ()
    assert remark(found, "1 clips of test.json have no class in test-answers.csv and are left aside: 1420")
