"""Files for the servers of two challenges, and predictions as tables, read back by other libraries."""

import csv
import dataclasses
import functools
import json
import zipfile

import numpy as np
import pytest
from toys import CONFIG, LABELS, PREPROCESS, random_variables, random_video

from vivit_jax.cli import main
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.preparation import builder
from vivit_jax.errors import UserError
from vivit_jax.inference import submissions
from vivit_jax.inference.outputs import logits_of_views
from vivit_jax.inference.submissions import Submission, write_submission
from vivit_jax.inference.views import decode_group
from vivit_jax.training.evaluation import Evaluation
from vivit_jax.training.metrics import score
from vivit_jax.weights import load_model_dir, save_pretrained

VERBS, NOUNS = tuple(f"verb {number}" for number in range(97)), tuple(f"noun {number}" for number in range(300))


def evaluation_of(labels, clips=4, seed=0):
    generator = np.random.default_rng(seed)
    logits = {head: generator.normal(0, 3, (clips, len(names))).astype(np.float32) for head, names in labels.items()}
    label = {head: generator.integers(0, len(names), clips) for head, names in labels.items()}
    heads = {head: score(logits[head], label[head], labels[head]) for head in labels}
    return Evaluation(1, heads, {}, 0, 0, np.arange(clips), label, logits)


def test_the_epic_kitchens_file_holds_every_score_by_the_publishers_numbers(tmp_path):
    of_model = {"noun": NOUNS[::-1], "verb": VERBS[::-1]}  # a model whose classes are in another order
    evaluation = evaluation_of(of_model)
    names = {number: f"P01_101_{number}" for number in range(4)}
    submission = Submission(evaluation, {"verb": VERBS, "noun": NOUNS}, names, (2, 3, 3))
    write_submission("epic", submission, tmp_path / "new/test.zip")
    with zipfile.ZipFile(tmp_path / "new/test.zip") as file:
        assert file.namelist() == ["test.json"]
        told = json.loads(file.read("test.json"))
    assert list(told) == ["version", "challenge", "sls_pt", "sls_tl", "sls_td", "results"]
    assert (told["version"], told["challenge"]) == ("0.2", "action_recognition")
    assert (told["sls_pt"], told["sls_tl"], told["sls_td"]) == (2, 3, 3)
    assert list(told["results"]) == list(names.values())
    for index, name in names.items():
        for head, classes in (("verb", 97), ("noun", 300)):
            scores = told["results"][name][head]
            assert list(scores) == [str(number) for number in range(classes)]
            for number in range(classes):
                assert scores[str(number)] == pytest.approx(evaluation.logits[head][index, classes - 1 - number], abs=1e-5)
    write_submission("epic", submission, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "new/test.zip").read_bytes()
    with pytest.raises(UserError, match="give --sls PT,TL,TD"):
        write_submission("epic", Submission(evaluation, {"verb": VERBS, "noun": NOUNS}, names), tmp_path / "other.zip")
    with pytest.raises(UserError, match="needs the heads verb and noun"):
        write_submission("epic", Submission(evaluation_of({"": NOUNS}), NOUNS, names, (2, 3, 3)), tmp_path / "other.zip")
    assert not (tmp_path / "other.zip").exists()


@pytest.fixture(scope="module")
def kitchens(tmp_path_factory):
    """A set whose split test has no labels, and a model with its heads."""
    root, labels = tmp_path_factory.mktemp("kitchens"), {"verb": VERBS, "noun": NOUNS}
    labels_of = {"train": dict.fromkeys(labels, 1), "test": dict.fromkeys(labels, -1)}

    def examples(split):
        for number in range({"train": 2, "test": 3}[split]):
            clip = {"video": random_video(number), "label": labels_of[split], "name": f"P01_1{len(split)}_{number}"}
            yield clip["name"], clip | {"frames": 12, "fps": 10.0, "width": 32, "height": 24, "duration": 1.2}

    stored = builder.write("epic", root, builder.Contents(("train", "test"), labels, examples, "made for tests"))
    (stored / "preparation.json").write_text(json.dumps({"unlabelled": ["test"], "refused": []}))
    config = dataclasses.replace(CONFIG, num_classes={"verb": 97, "noun": 300})
    labels = {"noun": NOUNS, "verb": VERBS[::-1]}
    save_pretrained(root / "model", config, random_variables(config), PREPROCESS, labels)
    return root


def test_a_split_without_labels_is_predicted_and_not_scored(kitchens, vivit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ("evaluate", "--model", kitchens / "model", "--name", "epic", "--data_dir", kitchens, "--split", "test", "--views", "2x1")
    code, _, err = vivit(*command)
    assert (code, "split test has no labels to score by: give --submission" in err) == (2, True)
    code, out, err = vivit(*command, "--submission", "epic", "test.zip", "--sls", "2,3,3")
    assert code == 0, err
    assert "submission of 3 videos written to test.zip" in out
    assert [path.name for path in tmp_path.iterdir()] == ["test.zip"]
    code, out, err = vivit(*command, "--out", "test.csv")
    assert (code, "predictions written to test.csv" in out) == (0, True), err
    with (tmp_path / "test.csv").open(newline="") as file:
        table = {row["video"]: row for row in csv.DictReader(file)}
    code, _, err = vivit(*command, "--out", "test.json")
    assert (code, "--out FILE.csv to predict it" in err) == (2, True)
    told = json.loads(zipfile.ZipFile("test.zip").read("test.json"))["results"]
    pretrained, dataset = load_model_dir(kitchens / "model"), open_dataset("epic", kitchens)
    for record in dataset.any_source("test"):
        views = logits_of_views(pretrained, functools.partial(decode_group, record["video"]), (2, 1))
        logits = {head: rows.mean(axis=0) for head, rows in next(iter(views)).items()}
        for head, order in (("verb", slice(None, None, -1)), ("noun", slice(None))):
            scores = [told[record["name"]][head][str(number)] for number in range(len(logits[head]))]
            np.testing.assert_allclose(scores, logits[head][order], atol=1e-4)
            row, names = table[record["name"]], pretrained.labels[head]
            probabilities = np.exp(logits[head]) / np.exp(logits[head]).sum()
            assert row[f"{head}.prediction"] == names[int(probabilities.argmax())]
            np.testing.assert_allclose([float(row[f"{head}.{name}"]) for name in names], probabilities, atol=1e-5)
    code, out, _ = vivit("inspect", "--name", "epic", "--data_dir", kitchens, "--sheet", "sheet.png")
    assert "(no label)" in out
    code, _, err = vivit("features", "--model", kitchens / "model", "--name", "epic", "--data_dir", kitchens, "--out", "test.npz")
    assert (code, np.unique(np.load("test.npz")["labels"]).tolist()) == (0, [-1])
    options = ("--name", "epic", "--data_dir", kitchens, "--train_split", "test", "--to", "probe")
    code, _, err = vivit("probe", "--model", kitchens / "model", *options)
    assert (code, "split test of data set epic has no labels" in err) == (2, True)


def test_the_something_something_file_holds_the_five_best_of_each_clip(tmp_path):
    labels = tuple(f"Doing {number}" for number in range(174))
    evaluation = evaluation_of({"": labels[5:] + labels[:5]})
    names = {number: str(78687 + number) for number in range(4)}
    write_submission("ssv2", Submission(evaluation, labels, names), tmp_path / "test.csv")
    rows = [line.split(";") for line in (tmp_path / "test.csv").read_text().splitlines()]
    for index, (clip, *guesses) in enumerate(rows):
        assert clip == names[index]
        values = sorted(evaluation.logits[""][index].tolist(), reverse=True)[:5]
        assert [evaluation.logits[""][index, (int(guess) - 5) % 174] for guess in guesses] == pytest.approx(values)
    assert len(rows) == 4
    with pytest.raises(UserError, match="one head of at least 5 classes"):
        write_submission("ssv2", Submission(evaluation_of({"": ("a", "b")}), ("a", "b"), names), tmp_path / "few.csv")


def test_predictions_are_one_table_as_csv_and_as_parquet(model_dir, data_dir, tmp_path, capfd, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    command = ["evaluate", "--model", str(model_dir), "--name", "toys_in_another_order", "--data_dir", data_dir, "--views", "2x1"]
    assert main([*command, "--out", "said.parquet"]) == 0
    monkeypatch.setattr(submissions, "GUESSES", 3)  # as many as there are classes
    assert main([*command, "--out", "said.csv", "--average", "probabilities", "--submission", "ssv2", "sent/test.csv"]) == 0
    table = parquet.read_table("said.parquet")
    with (tmp_path / "said.csv").open(newline="") as file:
        titles, *rows = csv.reader(file)
    assert table.column_names == titles
    assert table.column("video").to_pylist() == [row[0] for row in rows]
    assert table.schema.field("probability").type == "double"
    for row, line in zip(rows, (tmp_path / "sent/test.csv").read_text().splitlines(), strict=True):
        in_order = sorted(LABELS, key=lambda label: -float(row[titles.index(label)]))
        assert line == ";".join([row[0], *(str(LABELS[::-1].index(label)) for label in in_order)])
    record = json.loads((tmp_path / "evaluation.json").read_text())
    assert record["average"] == "probabilities"
    assert [row["probabilities"]["cat"] for row in record["predictions"]] == [float(row[titles.index("cat")]) for row in rows]
    assert main([*command, "--submission", "kinetics", "x"]) == 2
    assert "unknown challenge 'kinetics'" in capfd.readouterr().err
    assert main([*command, "--submission", "epic", "x", "--sls", "2,3"]) == 2
    assert "three levels" in capfd.readouterr().err


@pytest.mark.parametrize("more", [(), ("--submission", "ssv2", "test.csv")])
def test_levels_of_supervision_without_their_submission_are_refused(more, capfd):
    assert main(["evaluate", "--workdir", "runs/none", "--sls", "2,3,3", *more]) == 2
    assert "--sls is for --submission epic FILE.zip" in capfd.readouterr().err
