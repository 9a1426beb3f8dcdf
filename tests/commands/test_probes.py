"""Features before the head, and heads fitted to them: against a loop over clips, scikit-learn, and what a person sees."""

import csv
import dataclasses
import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from toys import CONFIG, LABELS, PREPROCESS, random_variables, random_video

import vivit_jax
from vivit_jax.config import base_config, resolve
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.preparation import builder, listing
from vivit_jax.data.preparation_report import REPORT
from vivit_jax.data.sampling import views_of_video
from vivit_jax.data.video.reader import encode
from vivit_jax.errors import UserError
from vivit_jax.inference.split_pass import SplitPass
from vivit_jax.models.probe.attentive import AttentivePool
from vivit_jax.models.vivit.model import ViViT
from vivit_jax.training.probes.attentive import AttentiveHead, TokenRows, choose_attentive, fit_attentive, logits_of
from vivit_jax.training.probes.examples import folds
from vivit_jax.training.probes.settings import Tried, at_an_end
from vivit_jax.weights.model_dir import load_model_dir, save_pretrained

CLIPS = {"train": 24, "val": 9, "test": 6}


def write(name, folder, labels, label_of, *, clips=CLIPS, multi_label=False):
    """Clips whose brightness tells their class, beneath noise."""

    def examples(split):
        for i in range(clips[split]):
            clip = {"video": random_video(1000 * len(split) + i), "label": label_of(i), "name": f"film{i // 2}@{i % 2}-{i % 2 + 1}"}
            yield clip["name"], clip | {"frames": 12, "fps": 10.0, "width": 32, "height": 24, "duration": 1.2}

    return builder.write(name, folder, builder.Contents(tuple(clips), labels, examples, "made for tests", multi_label))


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probed")
    write("three", folder, LABELS, lambda i: (i * 7 // 2) % 3)
    write("pairs", folder, LABELS[:2], lambda i: (i // 2) % 2, clips={"train": 24, "test": 6})
    pairs = open_dataset("pairs", folder)
    with (pairs.path / "clips.csv").open("w") as file:
        rows = csv.DictWriter(file, listing.COLUMNS, restval="")
        rows.writeheader()
        rows.writerows({"split": split, "name": record["name"]} for split in pairs.splits for record in pairs.source(split))
    write("alike", folder, LABELS, lambda i: 1, clips={"train": 6, "test": 6})
    write("several", folder, LABELS, lambda i: [[0], [0, 1], [2], []][i % 4], multi_label=True)
    verbs = {"verb": ("take", "put"), "noun": ("cup", "pan", "lid")}
    write("actions", folder, verbs, lambda i: {"verb": i % 2, "noun": i % 3})
    return str(folder)


@pytest.fixture(scope="module")
def headless(tmp_path_factory):
    config = dataclasses.replace(CONFIG, num_classes=None, scan_layers=True)
    return save_pretrained(tmp_path_factory.mktemp("models") / "headless", config, random_variables(config), PREPROCESS, None)


def features(vivit, model, sets, tmp_path, *options):
    out = tmp_path / "features.npz"
    code, _, err = vivit("features", "--model", model, *options, "--out", out)
    assert code == 0, err
    return dict(np.load(out))


def of_set(sets, name, split):
    return ("--name", name, "--data_dir", sets, "--split", split)


def by_hand(model, videos, views):
    pretrained = load_model_dir(model)
    network = ViViT(dataclasses.replace(pretrained.model.config, num_classes=None))
    params = {name: part for name, part in pretrained.variables["params"].items() if name != "head"}
    clips = [PREPROCESS.normalise(jax.numpy.asarray(views_of_video(video, PREPROCESS, views))) for video in videos]
    apply = jax.jit(network.apply)
    return np.stack([np.asarray(apply({"params": params}, clip)) for clip in clips])


@pytest.mark.parametrize("with_head", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_features_are_what_the_model_gives_to_its_head(with_head, vivit, model_dir, headless, sets, tmp_path):
    model = model_dir if with_head else headless
    found = features(vivit, model, sets, tmp_path, *of_set(sets, "three", "val"), "--views", "2x1", "--batch_size", "4")
    records = list(open_dataset("three", sets).source("val"))
    expected = by_hand(model, [record["video"] for record in records], (2, 1))
    np.testing.assert_allclose(found["features"], expected.mean(1), atol=1e-5)
    assert found["features"].dtype == np.float32
    assert found["labels"].tolist() == [record["label"] for record in records]
    assert found["names"].tolist() == [record["name"] for record in records]
    assert found["label_names"].tolist() == list(LABELS)
    apart = features(vivit, model, sets, tmp_path, *of_set(sets, "three", "val"), "--views", "2x1", "--per_view")
    np.testing.assert_allclose(apart["features"], expected, atol=1e-5)
    again = vivit_jax.features(str(model), "three", "val", data_dir=sets, views=(2, 1), per_view=True)
    assert np.array_equal(apart["features"], again.features), "the same bits twice"


def test_features_of_files_and_of_a_damaged_one(vivit, model_dir, videos, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    out = tmp_path / "files.npz"
    code, _, err = vivit("features", "--model", model_dir, "--views", "2x1", "--out", out, videos[0], tmp_path / "bad.mp4", videos[2])
    assert code == 2
    assert "bad.mp4" in err
    assert "1 of 3" in err
    found = np.load(out)
    np.testing.assert_allclose(found["features"], by_hand(model_dir, [videos[0], videos[2]], (2, 1)).mean(1), atol=1e-5)
    assert found["names"].tolist() == [videos[0], videos[2]]
    assert found["labels"].tolist() == [-1, -1]
    alone = vivit_jax.features(model_dir, videos[0], views=(2, 1), progress=False)
    np.testing.assert_allclose(alone.features, found["features"][:1], atol=1e-5)


def test_a_video_whose_features_are_not_finite_is_named_and_the_others_are_written(vivit, videos, tmp_path):
    huge = random_variables(CONFIG)
    huge["params"]["tokenizer"]["kernel"] = np.full_like(huge["params"]["tokenizer"]["kernel"], 9e29)
    black_is_zero = dataclasses.replace(PREPROCESS, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    save_pretrained(tmp_path / "model", CONFIG, huge, black_is_zero, LABELS)
    (tmp_path / "black.mp4").write_bytes(encode(np.zeros((12, 24, 32, 3), np.uint8), 10))
    out = tmp_path / "features.npz"
    code, _, err = vivit("features", "--model", tmp_path / "model", "--out", out, videos[0], tmp_path / "black.mp4")
    assert code == 2
    assert f"{videos[0]}: the model gives NaN or infinity for this video" in err
    assert "1 of 2 videos have no features; the others are in" in err
    assert np.load(out)["names"].tolist() == [str(tmp_path / "black.mp4")]
    code, _, err = vivit("features", "--model", tmp_path / "model", "--out", tmp_path / "none.npz", videos[0])
    assert (code, err.count("\n"), (tmp_path / "none.npz").exists()) == (2, 1, False)


def test_features_of_several_heads_and_labels(vivit, model_dir, sets, tmp_path):
    found = features(vivit, model_dir, sets, tmp_path, *of_set(sets, "actions", "val"))
    assert found["heads"].tolist() == ["noun", "verb"]
    records = list(open_dataset("actions", sets).source("val"))
    assert found["labels"].tolist() == [[record["label"]["noun"], record["label"]["verb"]] for record in records]
    assert found["label_names_noun"].tolist() == ["cup", "pan", "lid"]
    assert features(vivit, model_dir, sets, tmp_path, *of_set(sets, "several", "val"))["labels"].shape == (9, 3)


def probe(vivit, model, sets, name, to, *options):
    code, out, err = vivit("probe", "--model", model, "--name", name, "--data_dir", sets, "--to", to, *options)
    assert code == 0, err
    return out


def probabilities(vivit, model, sets, name, tmp_path, split="test"):
    out = tmp_path / "scores.json"
    code, _, err = vivit("evaluate", "--model", model, *of_set(sets, name, split), "--views", "1x1", "--out", out)
    assert code == 0, err
    rows = json.loads(out.read_text())["predictions"]
    return np.array([list(row["probabilities"].values()) for row in rows])


@pytest.mark.parametrize(
    ("name", "options"),
    [("three", ()), *(pytest.param(*case, marks=pytest.mark.slow) for case in (("three", ("--train_only",)), ("pairs", ())))],
)
def test_a_linear_probe_is_scikit_learns(name, options, vivit, headless, sets, tmp_path):
    out = probe(vivit, headless, sets, name, tmp_path / "probe", *options)
    train, test = (features(vivit, headless, sets, tmp_path, *of_set(sets, name, split)) for split in ("train", "test"))
    x, y = train["features"], train["labels"]
    said = json.loads((tmp_path / "probe" / "config.json").read_text())["provenance"]["probe"]
    val = features(vivit, headless, sets, tmp_path, *of_set(sets, name, "val")) if name == "three" else None
    assert ("come from few sources" in out) == ("is the largest or smallest that was tried" in out and val is not None)
    scaler = StandardScaler().fit(x.astype(np.float64))
    strength = said["setting"]["C"]
    if val is not None:
        alone = LogisticRegression(C=strength, tol=1e-9, max_iter=10000).fit(scaler.transform(x.astype(np.float64)), y)
        logs = alone.predict_log_proba(scaler.transform(val["features"].astype(np.float64)))
        assert said["loss"] == pytest.approx(-logs[np.arange(len(logs)), val["labels"]].mean(), abs=1e-4)
        if not options:
            x, y = np.concatenate([x, val["features"]]), np.concatenate([y, val["labels"]])
    else:
        assert "5 folds of 12 groups" in out, "segments of one film stay together"
    assert f"{len(x)} videos of train{' and val' if len(x) == 33 else ''}" in out
    scaler = StandardScaler().fit(x.astype(np.float64))
    reference = LogisticRegression(C=strength, tol=1e-9, max_iter=10000).fit(scaler.transform(x.astype(np.float64)), y)
    expected = reference.predict_proba(scaler.transform(test["features"].astype(np.float64)))
    np.testing.assert_allclose(probabilities(vivit, tmp_path / "probe", sets, name, tmp_path), expected, atol=1e-5)


def test_cross_validation_keeps_the_groups_of_the_set_together(vivit, headless, sets, tmp_path):
    shutil.copytree(pathlib.Path(sets) / "pairs", tmp_path / "pairs")
    dataset = open_dataset("pairs", tmp_path)
    names = [record["name"] for record in dataset.source("train")]
    (dataset.path / REPORT).write_text(json.dumps({"groups": {name: f"person {i % 3}" for i, name in enumerate(names[:-1])}}))
    out = probe(vivit, headless, str(tmp_path), "pairs", tmp_path / "probe")
    assert "folds of 4 groups" in out, "three persons, and the one video without a group"


@pytest.mark.slow
def test_knn_is_scikit_learns_and_works_with_every_command(vivit, model_dir, sets, videos, tmp_path):
    model = tmp_path / "knn"
    probe(vivit, model_dir, sets, "three", model, "--kind", "knn", "--train_only")
    said = json.loads((model / "config.json").read_text())["provenance"]["probe"]["setting"]
    train, test = (features(vivit, model_dir, sets, tmp_path, *of_set(sets, "three", split)) for split in ("train", "test"))
    near = KNeighborsClassifier(
        int(min(said["neighbours"], 24)), metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / said["temperature"])
    ).fit(train["features"].astype(np.float64), train["labels"])
    expected = 0.999 * near.predict_proba(test["features"].astype(np.float64)) + 0.001 / 3
    np.testing.assert_allclose(probabilities(vivit, model, sets, "three", tmp_path), expected, atol=1e-5)
    for argv in (
        ("predict", "--model", model, "--views", "1x1", videos[0]),
        ("explain", "--model", model, "--out", tmp_path / "overlay.mp4", videos[0]),
        ("inspect", model),
        ("export", "--model", model, "--to", "stablehlo", tmp_path / "exported"),
    ):
        code, _, err = vivit(*argv)
        assert code == 0, (argv, err)
    again = features(vivit, model, sets, tmp_path, *of_set(sets, "three", "test"))
    np.testing.assert_allclose(again["features"], test["features"], atol=1e-6)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """A model that embeds each frame by itself."""
    config = dataclasses.replace(CONFIG, num_classes=None, num_layers=2, temporal_layers=0, tokenizer="frames", tubelet=(1, 8, 8))
    return save_pretrained(tmp_path_factory.mktemp("models") / "frames", config, random_variables(config), PREPROCESS, None)


def test_statistics_and_layers_make_an_ordinary_model(vivit, frames, sets, videos, tmp_path):
    seen = ("--time", "mean,difference", "--layers=-1,-2")
    train, test = (features(vivit, frames, sets, tmp_path, *of_set(sets, "three", split), *seen)["features"] for split in ("train", "test"))
    plain = features(vivit, frames, sets, tmp_path, *of_set(sets, "three", "train"))["features"]
    assert train.shape == (24, 4 * 16)
    np.testing.assert_allclose(train[:, :16], plain, atol=1e-5)
    model = tmp_path / "probe"
    probe(vivit, frames, sets, "three", model, "--train_only", *seen)
    head = load_model_dir(model).variables["params"]["head"]
    logits = test.astype(np.float64) @ head["kernel"] + head["bias"]
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities(vivit, model, sets, "three", tmp_path), expected, atol=1e-4)
    again = features(vivit, model, sets, tmp_path, *of_set(sets, "three", "test"))
    np.testing.assert_allclose(again["features"], test, atol=1e-6)
    runs_everywhere(vivit, model, videos, tmp_path)


def runs_everywhere(vivit, model, videos, tmp_path):
    for argv in (
        ("predict", "--model", model, "--views", "1x1", videos[0]),
        ("explain", "--model", model, "--out", tmp_path / "overlay.mp4", videos[0]),
        ("inspect", model),
    ):
        code, _, err = vivit(*argv)
        assert code == 0, (argv, err)


@pytest.mark.slow
def test_an_attentive_probe_is_an_ordinary_model_and_the_same_twice(vivit, frames, sets, videos, tmp_path):
    for name in ("one", "two"):
        out = probe(vivit, frames, sets, "three", tmp_path / name, "--kind", "attentive", "--patches", "1")
    assert "33 videos x 1 views x 8 tokens x 16 take" in out
    assert "rate" in out
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    assert load_model_dir(tmp_path / "one").model.config.kind == "attentive"
    assert probabilities(vivit, tmp_path / "one", sets, "three", tmp_path).shape == (6, 3)
    runs_everywhere(vivit, tmp_path / "one", videos, tmp_path)


def test_an_attentive_head_finds_the_token_that_tells():
    """One of eight tokens of a video, at any place, has a direction that tells the class; the mean of the tokens hides it in noise."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 300)
    tokens = rng.normal(size=(300, 1, 8, 32))
    tokens[np.arange(300), 0, rng.integers(0, 8, 300), 0] = 12
    tokens[..., 1] = np.where(tokens[..., 0] == 12, 6 * (2 * label - 1)[:, None, None], rng.choice([-6, 6], (300, 1, 8)))
    rows = TokenRows(tokens.astype(np.float16), np.full(8, -1), label, np.arange(300).astype(str))
    train, val = np.arange(200), np.arange(200, 300)
    head = AttentiveHead(AttentivePool(times=1, queries=1, num_heads=2, mlp_dim=0), classes=2)
    tried = choose_attentive(head, rows, train, val)
    assert tried[0].top1 >= 0.8
    params = fit_attentive(head, rows, train, tried[0].setting)
    right = (logits_of(head, params, rows, val).argmax(1) == label[val]).mean()
    assert right == tried[0].top1, "a shorter training is the beginning of a longer one"
    x = tokens[:, 0].mean(1)
    assert LogisticRegression().fit(x[train], label[train]).score(x[val], label[val]) < 0.7


def test_a_fold_that_leaves_one_class_to_fit_to_is_left_out():
    label, groups = np.array([0] * 6 + [1] * 6), np.array(list("aabbccdddddd"))  # one group has all of a class
    parts = folds(label, groups)
    assert all(set(label[fit]) == {0, 1} for fit, _ in parts)
    assert all(set(groups[fit]).isdisjoint(groups[held]) for fit, held in parts)
    assert sorted(set(groups[np.concatenate([held for _, held in parts])])) == ["a", "b", "c"], "only the fold of group d is not there"


def test_a_setting_at_an_end_of_those_tried_is_told():
    tried = [Tried({"C": strength}, 1.0, top1) for strength, top1 in ((10.0, 0.9), (1.0, 0.8), (0.1, 0.7))]
    assert at_an_end(tried) == ["C"]
    assert at_an_end([tried[1], tried[0], tried[2]]) == []
    assert at_an_end([Tried({"neighbours": 1}, 1.0, 0.5)]) == []


@pytest.mark.slow
def test_several_labels_and_several_heads(vivit, model_dir, sets, videos, tmp_path):
    probe(vivit, model_dir, sets, "several", tmp_path / "labels")
    train, val, test = (features(vivit, model_dir, sets, tmp_path, *of_set(sets, "several", split)) for split in CLIPS)
    x, y = np.concatenate([train["features"], val["features"]]).astype(np.float64), np.concatenate([train["labels"], val["labels"]])
    strength = json.loads((tmp_path / "labels" / "config.json").read_text())["provenance"]["probe"]["setting"]["C"]
    scaler = StandardScaler().fit(x)
    fits = [LogisticRegression(C=strength, tol=1e-9, max_iter=10000).fit(scaler.transform(x), of_class) for of_class in y.T]
    expected = np.stack([fit.predict_proba(scaler.transform(test["features"].astype(np.float64)))[:, 1] for fit in fits], axis=1)
    np.testing.assert_allclose(probabilities(vivit, tmp_path / "labels", sets, "several", tmp_path), expected, atol=1e-5)
    out = probe(vivit, model_dir, sets, "actions", tmp_path / "heads")
    assert "verb: C" in out
    assert set(load_model_dir(tmp_path / "heads").labels) == {"verb", "noun"}
    code, out, _ = vivit("predict", "--model", tmp_path / "heads", "--views", "1x1", videos[0])
    assert code == 0


@pytest.mark.parametrize("kind", ["knn", "attentive"])
def test_a_head_that_cannot_be_several_is_refused_before_any_video_is_seen(vivit, model_dir, sets, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(SplitPass, "batches", None)
    place = ("--name", "actions", "--data_dir", sets, "--to", tmp_path / "heads")
    code, _, err = vivit("probe", "--model", model_dir, *place, "--kind", kind)
    assert (code, err) == (2, f"vivit: kind {kind} is for one head, but the data set has noun, verb: use --kind linear\n")


@pytest.mark.slow
def test_a_probe_is_the_same_twice(vivit, model_dir, sets, tmp_path):
    for name, more in (("one", ()), ("two", ("--groups", "."))):
        out = probe(vivit, model_dir, sets, "three", tmp_path / name, *more)
    assert "--groups is for cross-validation, and settings are chosen on val" in out
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--name", "three", "--kind", "lineal"), "--kind"),
        (("--name", "pairs", "--groups", "."), "all videos are of one group"),
        (("--name", "pairs", "--groups", "reel"), "matches no part of the name"),
        (("--name", "several", "--kind", "knn"), "use --kind linear"),
        (("--name", "three", "--val_split", "validation9"), "validation9"),
        (("--name", "three", "--time", "mean,median"), "a statistic over time"),
        (("--name", "three", "--layers=-9"), "a layer must be from -2"),
        (("--name", "three", "--kind", "attentive", "--time", "deviation"), "--time is for kinds"),
        (("--name", "actions", "--kind", "attentive"), "use --kind linear"),
        (("--name", "actions", "--kind", "knn"), "use --kind linear"),
        (("--name", "three", "--patches", "2"), "are for kind attentive, and the kind is linear"),
        ((), "needs --name"),
    ],
)
def test_what_is_refused(options, told, vivit, model_dir, sets, tmp_path, monkeypatch):
    """Before minutes are spent on features."""
    for name in ("features_of_split", "tokens_of_passes"):
        monkeypatch.setattr(f"vivit_jax.inference.probe.{name}", lambda *_, **__: pytest.fail("features were computed"))
    code, _, err = vivit("probe", "--model", model_dir, "--data_dir", sets, "--to", tmp_path / "probe", *options)
    assert code == 2
    assert told in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "probe").exists()


def test_videos_of_one_class_are_refused(vivit, model_dir, sets, tmp_path):
    code, _, err = vivit("probe", "--model", model_dir, "--data_dir", sets, "--to", tmp_path / "probe", "--name", "alike")
    assert (code, err.count("\n")) == (2, 1)
    assert "two or more classes" in err


def test_features_refuse_what_they_cannot_do(vivit, model_dir, sets, tmp_path):
    for options, told in (
        (("--out", "x.npz"), "give either a data set, --name NAME, or video files"),
        (("--name", "three", "--out", "x.csv"), "must end in .npz"),
        (("--out", "x.npz", tmp_path), "no videos in this folder"),
    ):
        code, _, err = vivit("features", "--model", model_dir, "--data_dir", sets, *options)
        assert (code, told in err) == (2, True), err


RUN = """
from vivit_jax.config import base_config

def get_config():
    config = base_config()
    config.model.update(dict(factorisation="factorised_encoder", hidden_size=16, num_layers=1, temporal_layers=1, num_heads=2, mlp_dim=32))
    config.model.update(dict(clip=(4, 16, 16), tubelet=(2, 8, 8)))
    config.data.update(dict(name="three", resize=20))
    config.init.head = "probe"
    config.optimizer.learning_rate = 1e-2
    config.training.update(dict(batch_size=8, steps=4, compilation_cache=None))
    config.checkpoint.every_steps = 2
    config.parallel.data = 1
    return config
"""


@pytest.mark.slow
def test_a_run_begins_with_a_fitted_head_and_resumes_to_the_same_bits(vivit, headless, sets, tmp_path):
    (tmp_path / "run.py").write_text(RUN)
    common = ["train", f"--config={tmp_path / 'run.py'}", f"--config.data.data_dir={sets}", f"--config.init.source={headless}"]
    for still in (True, False):
        workdir = tmp_path / ("still" if still else "moved")
        code, out, err = vivit(*common, f"--workdir={workdir}", *(["--config.optimizer.learning_rate=1e-12"] if still else []))
        assert code == 0, err
        assert "before the first step" in out
    features = ("--model", headless, "--name", "three", "--data_dir", sets, "--split", "train", "--out", tmp_path / "train.npz")
    assert vivit("features", *features)[0] == 0
    train = np.load(tmp_path / "train.npz")
    scaler = StandardScaler().fit(train["features"].astype(np.float64))
    theirs = LogisticRegression(C=0.1, tol=1e-8, max_iter=10_000).fit(scaler.transform(train["features"]), train["labels"])
    still, moved = (load_model_dir(tmp_path / name / "model").variables["params"]["head"]["kernel"] for name in ("still", "moved"))
    np.testing.assert_allclose(still, theirs.coef_.T / scaler.scale_[:, None], rtol=1e-3, atol=1e-3)
    assert np.abs(moved - still).max() > 1e-3, "fine-tuning goes on from there"
    whole = (tmp_path / "moved" / "model" / "model.safetensors").read_bytes()
    for last in (tmp_path / "moved" / "checkpoints").glob("4*"):
        shutil.rmtree(last) if last.is_dir() else last.unlink()
    shutil.rmtree(tmp_path / "moved" / "model")
    code, out, err = vivit(*common, f"--workdir={tmp_path / 'moved'}")
    assert code == 0, err
    assert "before the first step" not in out, "nothing is fitted again"
    assert (tmp_path / "moved" / "model" / "model.safetensors").read_bytes() == whole


def test_a_probe_of_nothing_is_refused():
    for make in (lambda: vivit_jax.create_model(family="probe"), lambda: resolve(base_config("probe"))):
        with pytest.raises(UserError, match=r"model\.backbone must be a model's config .*got \{\}"):
            make()
