"""`vivit compare`: runs lined up by their videos, scored with intervals, tested in pairs, and shown on a page."""

import dataclasses
import html.parser
import json
import re
import shutil

import numpy as np
import pytest
from toys import CONFIG, LABELS
from written_runs import evaluation, random_logits, write_evaluation, write_run

import vivit_jax
from vivit_jax.analysis.complexity import count_arithmetic, count_parameters
from vivit_jax.data.dataset import open_dataset
from vivit_jax.errors import UserError
from vivit_jax.runs.comparison.contenders import unique_names

CLASSES = ("cat", "dog", "owl")
LABEL = np.arange(90) % 3
QUICK = {"speed": False, "resamples": 300}


class Page(html.parser.HTMLParser):
    """Collects what a page shows and links to; fails on tags that do not close, and on any script but its own."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.sources, self.anchors, self.ids, self.text = [], [], [], [], [], ""
        self.scripts = 0
        self.feed(text)
        assert not self.open
        assert self.scripts == 1

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        assert tag != "b"
        self.scripts += tag == "script"
        assert not any(name.startswith("on") for name in values)
        self.ids += [values["id"]] if "id" in values else []
        self.anchors += [values["href"]] if tag == "a" else []
        if tag in ("img", "video"):
            assert values["alt" if tag == "img" else "aria-label"]
            self.images.append(values["src"])
        if tag == "th":
            assert values["scope"] in ("row", "col")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def scores(skill, seed, label=LABEL, classes=CLASSES):
    return evaluation(label, random_logits(label, len(classes), skill, seed), classes)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Evaluations of two runs, as files: (paths, the evaluations)."""
    folder = tmp_path_factory.mktemp("two")
    made = {name: scores(skill, seed) for seed, (name, skill) in enumerate({"good": 2.0, "bad": 0.7}.items())}
    return [write_evaluation(folder / name / "evaluation.json", of) for name, of in made.items()], list(made.values())


@pytest.fixture(scope="module")
def seven(tmp_path_factory, data_dir, model_dir):
    """Work directories of seven runs of two networks on the toys, the first with its model beside it."""
    folder = tmp_path_factory.mktemp("seven")
    stored = open_dataset("toys", data_dir).source("test")
    label, names = np.array([clip["label"] for clip in stored]), {i: clip["name"] for i, clip in enumerate(stored)}
    models = [CONFIG] * 4 + [dataclasses.replace(CONFIG, mlp_dim=48)] * 3
    return [
        write_run(
            folder / f"run{i}",
            evaluation(label, random_logits(label, 3, 0.4 * i, i), LABELS),
            model,
            data_dir,
            names=names,
            model_dir=model_dir if i == 0 else None,
            seconds=10 * (i + 1),
        )
        for i, model in enumerate(models)
    ]


def test_two_runs_against_a_direct_computation(two):
    paths, (good, bad) = two
    comparison = vivit_jax.compare(paths, **QUICK | {"resamples": 4000})
    told = comparison.to_dict()
    assert repr(comparison).endswith(f": good {told['runs'][0]['top1']:.4f}, bad {told['runs'][1]['top1']:.4f})")
    right = [of.logits[""].argmax(1) == LABEL for of in (good, bad)]
    for run, of, hits in zip(told["runs"], (good, bad), right, strict=True):
        assert (run["top1"], run["right"], run["top5"]) == (of.top1, hits.sum(), 1.0)
        generator = np.random.default_rng(5)
        drawn = [hits[generator.integers(0, 90, 90)].mean() for _ in range(4000)]
        assert (run["low"], run["high"]) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.012)
    (pair,) = told["pairs"]
    assert (pair["only_a"], pair["only_b"]) == ((right[0] & ~right[1]).sum(), (right[1] & ~right[0]).sum())
    assert (pair["both"], pair["neither"]) == ((right[0] & right[1]).sum(), (~right[0] & ~right[1]).sum())
    assert pair["difference"] == pytest.approx(good.top1 - bad.top1)
    said = [of.logits[""].argmax(1) for of in (good, bad)]
    assert pair["agreement"] == (said[0] == said[1]).mean()
    assert (pair["test"], pair["p"]) == ("mcnemar", pair["mcnemar_p"])
    assert told["interval"] | {"level": 0.95, "unit": "video", "units": 90, "resamples": 4000, "seed": 0} == told["interval"]
    assert told["all_wrong"] == (~right[0] & ~right[1]).sum()


@pytest.mark.slow
def test_seven_runs_by_the_command(seven, vivit, tmp_path):
    code, out, err = vivit("compare", *seven, "--out", tmp_path / "out", "--resamples", 300, "--ensemble", "--batch_size", 2)
    assert (code, err) == (0, "")
    told = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert [run["name"] for run in told["runs"]] == [*(f"run{i}" for i in range(7)), "ensemble"]
    assert len(told["pairs"]) == 8 * 7 / 2
    first = told["runs"][0]
    assert (first["family"], first["parameters"]) == ("vivit", count_parameters(CONFIG))
    assert first["gmac"] == count_arithmetic(CONFIG).multiply_accumulates / 1e9
    assert first["gmac_video"] == 2 * first["gmac"]
    assert first["videos_per_second"] == first["clips_per_second"] / 2 > 0
    assert first["memory_bytes"] > 4 * first["parameters"]
    assert [run["training_seconds"] for run in told["runs"][:7]] == pytest.approx([10.0 * (i + 1) for i in range(7)])
    assert told["runs"][0]["clips_per_second"] == told["runs"][1]["clips_per_second"], "one network is measured once"
    ensemble = told["runs"][-1]
    assert ensemble["members"] == [f"run{i}" for i in range(7)]
    assert ensemble["parameters"] == sum(run["parameters"] for run in told["runs"][:7])
    for name in (*(f"run{i}" for i in range(7)), "bootstrap of 300 draws", "28 tests", "2 views at once"):
        assert name in " ".join(out.split())
    page = Page((tmp_path / "out" / "compare.html").read_text())
    assert all(source.startswith("data:") for source in page.images)
    assert {anchor.removeprefix("#") for anchor in page.anchors} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)) == sum(source.startswith("data:video/mp4") for source in page.images) > 0
    assert sum(source.startswith("data:image/svg+xml") for source in page.images) == 4
    assert "| run6 |" in (tmp_path / "out" / "compare.md").read_text() or "| **run6** |" in (tmp_path / "out" / "compare.md").read_text()


def test_the_pareto_front_is_of_what_nobody_beats(seven):
    runs = {run["name"]: run for run in vivit_jax.compare(seven, **QUICK).to_dict()["runs"]}
    for name, run in runs.items():
        beaten = any(
            other["top1"] >= run["top1"]
            and other["gmac_video"] <= run["gmac_video"]
            and (other["top1"], -other["gmac_video"]) != (run["top1"], -run["gmac_video"])
            for other in runs.values()
        )
        assert run["pareto"] == (not beaten), name


def test_a_baseline_is_held_against_every_other_run(tmp_path):
    paths = [write_evaluation(tmp_path / f"run{i}" / "evaluation.json", scores(1.0, i)) for i in range(4)]
    told = vivit_jax.compare(paths, baseline=paths[2], **QUICK).to_dict()
    assert [(pair["a"], pair["b"]) for pair in told["pairs"]] == [(f"run{i}", "run2") for i in (0, 1, 3)]
    folders = [path.parent for path in paths]
    assert vivit_jax.compare(folders, baseline="run2", **QUICK).to_dict()["pairs"] == told["pairs"]
    one_more = vivit_jax.compare(paths[:1], baseline=paths[1], **QUICK).to_dict()
    assert (one_more["baseline"], len(one_more["runs"]), len(one_more["pairs"])) == ("run1", 2, 1)
    with pytest.raises(UserError, match="neither one of the runs"):
        vivit_jax.compare(paths, baseline="run9", **QUICK)


def test_an_ensemble_is_the_mean_of_the_probabilities(two):
    paths, (good, bad) = two
    run = vivit_jax.compare(paths, ensemble=True, **QUICK).to_dict()["runs"][-1]
    mean = (good.probabilities[""] + bad.probabilities[""]) / 2
    assert run["right"] == (mean.argmax(1) == LABEL).sum()
    assert run["name"] == "ensemble"


def test_runs_in_another_order_of_videos_and_classes_are_lined_up_by_name(two, tmp_path):
    paths, (good, _) = two
    order = np.random.default_rng(0).permutation(90)
    other = evaluation((2 - LABEL)[order], good.logits[""][order][:, ::-1], CLASSES[::-1])
    path = write_evaluation(tmp_path / "turned.json", other, names={i: f"test{video}" for i, video in enumerate(order)})
    (pair,) = vivit_jax.compare([paths[0], path], **QUICK).to_dict()["pairs"]
    assert (pair["only_a"], pair["only_b"], pair["agreement"], pair["difference"], pair["p"]) == (0, 0, 1.0, 0.0, 1.0)


def changed(path, to, change):
    record = json.loads(path.read_text())
    change(record)
    to.write_text(json.dumps(record))
    return to


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda of: of["predictions"].pop(4), r"changed lacks 1 video of good \(test4\); good has 90 in all and changed 89"),
        (lambda of: of["predictions"][4].update(video="other"), r"changed lacks 1 video of good \(test4\) and good lacks 1 .* \(other\)"),
        (
            lambda of: [of["predictions"][i].update(label="owl") for i in (3, 4)],
            r"2 of the 90 videos have other labels in changed than in good \(test3, test4\): test3 is 'owl' there and 'cat' here",
        ),
        (lambda of: of.update(split="val"), "good was evaluated on split test and changed on val: --split"),
        (lambda of: of.pop("predictions"), "lacks the names, labels or probabilities of its videos"),
        (lambda of: [row.pop("probabilities") for row in of["predictions"]], "lacks the names, labels or probabilities"),
        (lambda of: [row["probabilities"].update(fox=0.0) for row in of["predictions"]], r"do not know the same classes: 1 .* \(fox\)"),
        (lambda of: of["predictions"][4]["probabilities"].pop("owl"), "not every video has a probability of 'owl'"),
    ],
)
def test_runs_that_are_not_of_the_same_videos_are_refused(two, tmp_path, change, told):
    good = two[0][0]
    with pytest.raises(UserError, match=told) as refusal:
        vivit_jax.compare([good, changed(good, tmp_path / "changed.json", change)], **QUICK)
    assert "\n" not in str(refusal.value)


def test_models_of_other_kinds_are_refused(two, tmp_path):
    several = write_evaluation(tmp_path / "several.json", scores(1.0, 0, np.eye(3, dtype=np.uint8)[LABEL]))
    heads = {"verb": LABEL, "noun": LABEL[::-1]}
    logits = {head: random_logits(label, 3, 1.0, 4) for head, label in heads.items()}
    both = write_evaluation(tmp_path / "heads.json", evaluation(heads, logits, dict.fromkeys(heads, CLASSES)))
    for other, told in (
        (several, "for one class a video and several for several"),
        (both, "one head without a name and heads has heads noun, verb"),
    ):
        with pytest.raises(UserError, match=told):
            vivit_jax.compare([two[0][0], other], **QUICK)


def test_several_heads_are_right_together_and_averaged_each_by_itself(tmp_path):
    label = {"verb": LABEL, "noun": (LABEL + np.arange(90) // 45) % 3}
    made = [
        {head: random_logits(of, 3, skill, [seed, len(head) % 3]) for head, of in label.items()} for seed, skill in enumerate((2.0, 1.0))
    ]
    paths = [
        write_evaluation(tmp_path / f"{i}.json", evaluation(label, logits, dict.fromkeys(label, CLASSES))) for i, logits in enumerate(made)
    ]
    comparison = vivit_jax.compare(paths, ensemble=True, out=tmp_path / "out", **QUICK)
    told = comparison.to_dict()
    right = [{head: logits[head].argmax(1) == label[head] for head in label} for logits in made]
    for run, of in zip(told["runs"], right, strict=False):
        assert run["right"] == (of["verb"] & of["noun"]).sum()
        assert run["heads"] == {head: pytest.approx(hits.mean()) for head, hits in of.items()}
    softmax = [{h: np.exp(x) / np.exp(x).sum(1, keepdims=True) for h, x in logits.items()} for logits in made]
    mean = {head: (softmax[0][head] + softmax[1][head]) / 2 for head in label}
    assert told["runs"][2]["right"] == np.all([mean[head].argmax(1) == label[head] for head in label], axis=0).sum()
    Page((tmp_path / "out" / "compare.html").read_text())


def test_several_labels_a_video_are_scored_by_mean_average_precision(tmp_path):
    label = (np.random.default_rng(1).random((90, 3)) < 0.4).astype(np.uint8)
    made = [scores(skill, seed, label) for seed, skill in enumerate((2.0, 0.5))]
    paths = [write_evaluation(tmp_path / f"{i}.json", of) for i, of in enumerate(made)]
    told = vivit_jax.compare(paths, ensemble=True, out=tmp_path / "out", **QUICK).to_dict()
    assert told["metric"] == "mAP"
    for run, of in zip(told["runs"], made, strict=False):
        assert (run["mAP"], run["top1"]) == (pytest.approx(of.heads[""].mAP), of.top1)
        assert run["low"] < run["mAP"] < run["high"]
    assert {pair["test"] for pair in told["pairs"]} == {"bootstrap"}
    assert {pair["mcnemar_p"] for pair in told["pairs"]} == {None}
    Page((tmp_path / "out" / "compare.html").read_text())


def test_groups_come_from_a_list_or_from_the_data_set(two, seven, tmp_path):
    rows = "".join(f"x,test{i},flight{i // 3}\n" for i in range(90))
    (tmp_path / "groups.csv").write_text(f"path,name,flight\n{rows}")
    told = vivit_jax.compare(two[0], groups=tmp_path / "groups.csv", group="flight", **QUICK).to_dict()
    assert (told["interval"]["unit"], told["interval"]["units"]) == ("group", 30)
    assert told["pairs"][0]["test"] == "mcnemar_of_groups"
    with pytest.raises(UserError, match=r"no column 'group': its header is path, name, flight"):
        vivit_jax.compare(two[0], groups=tmp_path / "groups.csv", **QUICK)
    (tmp_path / "few.csv").write_text("name,group\ntest0,a\ntest1,b\n")
    with pytest.raises(UserError, match=r"88 of the 90 videos have no group \(column group of few.csv\), the first is test2"):
        vivit_jax.compare(two[0], groups=tmp_path / "few.csv", **QUICK)
    with pytest.raises(UserError, match="--group names a column of --groups"):
        vivit_jax.compare(two[0], group="flight", **QUICK)


def test_groups_that_a_data_set_was_prepared_with_are_drawn_unless_videos_are_asked_for(seven, data_dir, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(f"{data_dir}/toys", copy / "toys")
    (folder,) = (copy / "toys").iterdir()
    (folder / "preparation.json").write_text(json.dumps({"groups": {f"test{i}": f"film{i // 2}" for i in range(7)}}))
    told = vivit_jax.compare(seven[:2], data_dir=copy, **QUICK).to_dict()["interval"]
    assert (told["unit"], told["units"], told["groups_from"]) == ("group", 4, "those of data set toys")
    told = vivit_jax.compare(seven[:2], data_dir=copy, by_video=True, **QUICK).to_dict()["interval"]
    assert (told["unit"], told["units"]) == ("video", 7)


def test_a_run_is_found_by_its_folder_its_model_its_file_or_another_split(seven, tmp_path, vivit):
    run = tmp_path / "copied"
    shutil.copytree(seven[0], run)
    other = evaluation(np.arange(7) % 3, random_logits(np.arange(7) % 3, 3, 3.0, 9), LABELS)
    write_evaluation(run / "evaluation-val-4x3.json", other, split="val", views=(4, 3))
    for path in (run, run / "model", run / "evaluation.json"):
        first = vivit_jax.compare([path, seven[1]], **QUICK).to_dict()["runs"][0]
        assert (first["name"], first["parameters"], first["views"]) == ("copied", count_parameters(CONFIG), "2x1")
    told = vivit_jax.compare([run, run / "evaluation-val-4x3.json"], split="val", views=(4, 3), **QUICK).to_dict()
    assert [(of["top1"], of["views"], of["gmac_video"] > 0) for of in told["runs"]] == [(other.top1, "4x3", True)] * 2
    code, _, err = vivit("compare", run, seven[1], "--split", "val", "--no_speed")
    assert code == 2
    assert f"{seven[1]} has no evaluation of --split val (there: test 2x1): `vivit evaluate --workdir {seven[1]} --split val`" in err
    (run / "evaluation.json").unlink()
    code, _, err = vivit("compare", run, seven[1], "--no_speed")
    assert (code, err.count("\n")) == (2, 1)
    assert f"`vivit evaluate --workdir {run}` writes its evaluation.json" in err


def test_a_model_directory_with_its_own_evaluation(seven, model_dir, tmp_path):
    shutil.copytree(model_dir, tmp_path / "alone")
    hint = (
        r"holds no evaluation: `vivit evaluate --model \S+/alone --name \w+ .*--split test --views \dx\d --out \S+/alone/evaluation\.json`"
    )
    with pytest.raises(UserError, match=hint):
        vivit_jax.compare([tmp_path / "alone", seven[1]], **QUICK)
    shutil.copy(seven[3] / "evaluation.json", tmp_path / "alone")
    told = vivit_jax.compare([tmp_path / "alone", seven[3]], **QUICK).to_dict()
    assert told["runs"][0]["parameters"] == count_parameters(CONFIG)
    assert told["runs"][0]["top1"] == told["runs"][1]["top1"]


def test_too_few_runs_and_paths_that_are_no_runs_are_refused(seven, vivit, tmp_path):
    for argv, told in (
        ([seven[0]], "at least two runs, got 1"),
        ([seven[0], tmp_path / "gone"], "no such run, model directory or evaluation file"),
        ([seven[0], tmp_path], "is neither a run nor a model directory, and holds no evaluation.json"),
        ([seven[0], seven[0] / "config.json"], "is not what `vivit evaluate` writes"),
    ):
        code, _, err = vivit("compare", *argv, "--no_speed")
        assert (code, err.count("\n")) == (2, 1)
        assert told in err


def test_one_run_twice_differs_in_nothing(seven, capsys):
    told = vivit_jax.compare([seven[1], seven[1]], **QUICK).to_dict()
    assert [run["name"] for run in told["runs"]] == ["run1", "run1 (2)"]
    (pair,) = told["pairs"]
    assert (pair["difference"], pair["low"], pair["high"], pair["p"], pair["p_holm"]) == (0, 0, 0, 1, 1)
    assert "is given twice" in capsys.readouterr().out


def test_runs_that_were_not_seen_alike_are_told(seven, tmp_path, capsys):
    for name, change in (("plain", {}), ("mirrored", {"flip": True, "average": "probabilities"})):
        shutil.copytree(seven[0], tmp_path / name)
        file = tmp_path / name / "evaluation.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
    vivit_jax.compare([tmp_path / "plain", tmp_path / "mirrored"], out=tmp_path / "out", **QUICK)
    seen = "2x1 views, mirrored too, their probabilities averaged"
    assert f"with different views (plain 2x1 views; mirrored {seen})" in " ".join(capsys.readouterr().out.split())
    assert seen in Page((tmp_path / "out" / "compare.html").read_text()).text
    vivit_jax.compare([tmp_path / "plain", seven[1]], **QUICK)
    assert "different views" not in capsys.readouterr().out


def test_names_that_clash_are_told_apart_by_their_folders(tmp_path):
    paths = [tmp_path / name for name in ("a/run", "b/run", "c/run/evaluation.json", "d/other/model", "e/val-1x1.json", "a/run")]
    assert unique_names(paths) == ["a/run", "b/run", "c/run", "other", "val-1x1", "a/run (2)"]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", r"$\foo$ | `x`", "\x1b]0;gone\x07", "x" * 300])
def test_any_name_is_shown_as_it_is_and_commands_nothing(name, tmp_path, vivit):
    labels = (name, "dog", "owl")
    paths = []
    for seed in range(2):
        made = scores(1.0, seed, classes=labels)
        names = {i: f"{name}{i}" for i in range(90)}
        paths.append(write_evaluation(tmp_path / f"<i>{seed}" / "evaluation.json", made, names=names))
    code, out, _ = vivit("compare", *paths, "--out", tmp_path / "out", "--no_speed", "--resamples", 200)
    assert code == 0
    text, markdown = ((tmp_path / "out" / f"compare.{kind}").read_text() for kind in ("html", "md"))
    assert not any("\x1b" in shown for shown in (out, text, markdown))
    assert not re.search(r"(?<!\\)<script|(?<!\\)<i", markdown)
    page = Page(text)
    if name.isprintable():
        assert name in page.text


def test_the_same_call_gives_the_same_files(seven, tmp_path):
    for folder in ("first", "second"):
        vivit_jax.compare(seven[:2], out=tmp_path / folder, **QUICK)
    for name in ("compare.json", "compare.md", "compare.html"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_run_as_it_is_evaluated(workdir, data_dir, vivit, tmp_path):
    assert vivit("evaluate", "--workdir", workdir)[0] == 0
    written = json.loads((workdir / "evaluation.json").read_text())
    label = np.array([LABELS.index(row["label"]) for row in written["predictions"]])
    names = {row["index"]: row["video"] for row in written["predictions"]}
    other = write_run(tmp_path / "other", evaluation(label, random_logits(label, 3, 1.0, 3), LABELS), CONFIG, data_dir, names=names)
    code, out, err = vivit("compare", workdir, other, "--out", tmp_path / "out", "--no_speed", "--resamples", 300)
    assert (code, err) == (0, "")
    told = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert (told["runs"][0]["top1"], told["runs"][0]["right"], told["runs"][0]["views"]) == (written["top1"], written["hits"], "2x1")
    assert "7 videos are few" in out
    page = Page((tmp_path / "out" / "compare.html").read_text())
    assert any(source.startswith("data:video/mp4") for source in page.images)


def test_clips_of_a_data_set_that_is_gone_or_another_leave_a_word(seven, data_dir, tmp_path):
    files = [
        changed(run / "evaluation.json", tmp_path / f"{run.name}.json", lambda of: [row.update(index=0) for row in of["predictions"]])
        for run in seven[:2]
    ]
    for folder, told in ((data_dir, "number 0 of data set toys is"), (None, "their data set was not found; --data_dir")):
        vivit_jax.compare(files, out=tmp_path / "out", data_dir=folder, **QUICK)
        assert told in Page((tmp_path / "out" / "compare.html").read_text()).text
