"""The page a run ends in: whole, self-contained, true to the scores."""

import base64
import hashlib
import html.parser
import json
import math
import re

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from toys import LABELS
from written_runs import evaluation, random_logits, write_evaluation

from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError
from vivit_jax.runs.record import open_run
from vivit_jax.runs.report.predictions import examples_of
from vivit_jax.runs.report.write import write_report
from vivit_jax.statistics.proportions import wilson


class Page(html.parser.HTMLParser):
    """Collects what a page shows, links to and runs; fails on tags that do not close, and on any that the page did not write itself."""

    VOID = ("meta", "img", "link", "wbr")

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text()
        self.open, self.links, self.clips, self.charts, self.scripts, self.text = [], [], [], {}, [], ""
        self.cells, self.chart, self.data = [], None, False
        self.feed(self.source)
        assert not self.open
        assert len(self.source.encode()) < 5_000_000

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        assert tag != "b"
        assert not any(name.startswith("on") for name in values)
        self.links += [values[name] for name in ("src", "href") if name in values]
        self.clips += [values["src"]] if tag == "video" else []
        self.chart = values.get("id") if values.get("class") == "chart" else self.chart
        self.data = values.get("type") == "application/json"
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th") and self.cells:
            self.cells[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            if self.data:
                self.charts[self.chart] = json.loads(data)
            else:
                self.scripts.append(data)
            return
        if self.open[-1:] != ["style"]:
            self.text += data
        if {"td", "th"} & set(self.open):
            self.cells[-1][-1] += data

    def lines(self):
        """The lines of all charts, as ((title of y, name), [(x, y)])."""
        for of in self.charts.values():
            for series in of["series"]:
                yield (of["y"]["name"], series["name"]), list(zip(series["x"], series["y"], strict=True))


def reported(workdir):
    path = write_report(workdir)
    assert path == workdir / "report.html"
    return Page(path)


def scored(workdir, scores):
    """The page of a run with made-up scores."""
    write_evaluation(workdir / "evaluation.json", scores)
    return reported(workdir)


def test_a_page_shows_the_scores_curves_classes_and_clips_and_needs_nothing_else(workdir, vivit):
    assert vivit("evaluate", "--workdir", workdir)[0] == 0
    scores = json.loads((workdir / "evaluation.json").read_text())
    page = reported(workdir)
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert f"{scores['hits']} of 7 examples of toys test" in page.text
    assert "toys & <b>others</b>" in page.text
    for label, row in scores["per_class"].items():
        (cells,) = [cells for cells in page.cells if cells[0] == label and len(cells) == 6]
        low, high = wilson(round(row["top1"] * row["examples"]), row["examples"])
        assert cells[1:2] + cells[3:] == [
            f"{row['top1']:.1%}",
            f"{low:.1%} to {high:.1%}",
            str(round(row["top1"] * row["examples"])),
            str(row["examples"]),
        ]
    assert len(page.clips) == len(scores["predictions"])
    frames = decode_frames(base64.b64decode(page.clips[0].removeprefix("data:video/mp4;base64,")), np.arange(12))
    assert frames.shape == (12, 24, 32, 3)


def test_the_lines_of_a_page_have_all_digits_of_the_metrics(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    lines = dict(reported(workdir).lines())
    for (axis, name), key in {
        ("loss", "training"): "train/loss",
        ("loss", "validation"): "val/loss",
        ("top-1", "validation"): "val/top1",
        ("learning rate", ""): "train/learning_rate",
    }.items():
        assert lines[axis, name] == [(row["step"], row[key]) for row in rows if key in row]


def test_the_first_step_whose_speed_is_not_measured_is_no_point_of_its_line(workdir):
    rows = [
        {"step": 1, "train/clips_per_second": 0.0},
        {"step": 2, "train/clips_per_second": 40.0},
        {"step": 3, "train/clips_per_second": 50.0},
    ]
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert dict(reported(workdir).lines())["clips a second", ""] == [(2, 40.0), (3, 50.0)]


def test_no_script_runs_but_those_of_the_package(workdir):
    page = reported(workdir)
    policy = re.search(r"script-src ([^\"]*)", page.source).group(1).split()
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in page.scripts]
    assert hashes == policy
    assert len(hashes) == 3


def test_a_run_without_scores_shows_what_it_has(workdir):
    page = reported(workdir)
    assert "50.00%" in page.text
    assert "not tested yet" in page.text
    (workdir / "metrics.jsonl").unlink()
    assert "No metrics yet" in reported(workdir).text


def test_a_data_set_that_is_gone_leaves_a_word_in_place_of_its_clips(workdir, vivit):
    assert vivit("evaluate", "--workdir", workdir)[0] == 0
    recorded = json.loads((workdir / "config.json").read_text())
    recorded["config"]["data"]["data_dir"] = str(workdir / "gone")
    (workdir / "config.json").write_text(json.dumps(recorded))
    assert "The clips cannot be shown" in reported(workdir).text


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="not the work directory of a run"):
        write_report(tmp_path)


NAMES = [r"$\foo$", "100% _sure_ ^", "犬 🐕", "<script>alert(1)</script>", "</script><b>", "\x1b]0;gone\x07", "\u202eback", "x" * 300]


@pytest.mark.parametrize("name", NAMES)
def test_any_class_name_is_shown_as_it_is_and_commands_nothing(name, workdir):
    labels = (name, "dog")
    label = np.arange(7) % 2
    page = scored(workdir, evaluation(label, random_logits(label, 2, 1.0, 0), labels))
    assert "\x1b" not in page.source
    assert "\u202e" not in page.source
    assert len(page.scripts) == 3
    if name.isprintable():
        assert name[:200] in page.text
    assert ("300 letters" in page.text) == (len(name) == 300)


def test_the_test_is_drawn_and_named_at_the_step_of_its_model(workdir, vivit):
    assert vivit("evaluate", "--workdir", workdir)[0] == 0
    scores = json.loads((workdir / "evaluation.json").read_text())
    (workdir / "evaluation.json").write_text(json.dumps(scores | {"step": 3}))
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "test/top1": 0.25}\n')
    page = reported(workdir)
    assert "step of the model3" in page.text
    assert dict(page.lines())["top-1", "test"] == [(3, 0.25)]


def test_what_was_not_a_number_is_a_gap_that_the_page_tells(workdir):
    rows = [{"step": step, "train/loss": None if step in (4, 5) else 1 / step, "val/loss": 1e400} for step in range(1, 9)]
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = reported(workdir)
    assert dict(page.lines())["loss", "training"] == [(step, rows[step - 1]["train/loss"]) for step in range(1, 9)]
    assert dict(page.lines())["loss", "validation"] == [(step, None) for step in range(1, 9)]
    assert "10 values are NaN, infinite or undefined, the first at step 1" in page.text


def test_a_run_that_was_interrupted_says_so(workdir):
    recorded = json.loads((workdir / "config.json").read_text())
    recorded["config"]["training"]["steps"] = 40
    (workdir / "config.json").write_text(json.dumps(recorded))
    assert "The metrics end at step 5 of 40: the run was interrupted, or is still running." in reported(workdir).text


def test_thresholds_and_calibration_are_those_of_scikit_learn_and_a_direct_count(workdir):
    labels, label = ("bird", "drone"), np.arange(60) % 2
    scores = evaluation(label, random_logits(label, 2, 1.0, 4), labels)
    page = scored(workdir, scores)
    said = json.loads((workdir / "evaluation.json").read_text())["predictions"]
    drone = [row["probabilities"]["drone"] for row in said]
    wrong, right, at = roc_curve(label, drone)
    roc = page.charts["head-0-roc"]["series"][0]
    assert (roc["x"], roc["y"]) == (wrong.tolist(), right.tolist())
    assert roc["beside"]["threshold"][1:] == [f"{value:.3f}" for value in at[1:]]
    assert f"AUC {roc_auc_score(label, drone):.3f}" in page.text
    assert f"AP {average_precision_score(label, drone):.3f}" in page.text
    precision, recall, _ = precision_recall_curve(label, drone)
    curve = page.charts["head-0-pr"]["series"][0]
    assert (curve["x"], curve["y"]) == (recall[::-1].tolist(), precision[::-1].tolist())
    bins = {}
    for row in said:
        bins.setdefault(math.ceil(15 * row["probability"]), []).append((row["probability"], row["label"] == row["prediction"]))
    error = sum(abs(sum(p for p, _ in rows) - sum(hit for _, hit in rows)) for rows in bins.values()) / 60
    assert f"ECE {error:.3f}" in page.text
    assert page.charts["head-0-calibration"]["series"][0]["y"] == [np.mean([hit for _, hit in bins[key]]) for key in sorted(bins)]


def test_clips_that_a_model_is_sure_of_are_ranked_among_each_other(workdir):
    """To the seven digits of evaluation.json, all these probabilities of the drone are 1."""
    label = np.arange(40) % 2
    logits = np.stack([np.zeros(40), 20 + 0.1 * np.arange(40) + label], axis=1)
    scores = evaluation(label, logits.astype(np.float32), ("bird", "drone"))
    page = scored(workdir, scores)
    assert len(page.charts["head-0-roc"]["series"][0]["x"]) > 3
    assert float(re.search(r"ROC of drone: AUC ([\d.]+)", page.text)[1]) == pytest.approx(scores.heads[""].auc, abs=6e-4)


def test_the_area_under_the_drawn_precision_is_the_average_precision(workdir):
    labels, label = ("bird", "drone"), np.arange(60) % 2
    logits = np.round(random_logits(label, 2, 1.0, 4))  # few thresholds, so that the steps are wide
    page = scored(workdir, evaluation(label, logits, labels))
    drone = [row["probabilities"]["drone"] for row in json.loads((workdir / "evaluation.json").read_text())["predictions"]]
    (drawn,) = re.findall(r'id="head-0-pr".*?<path class="line s0" d="([^"]*)"', page.source)
    area, (x, y) = 0.0, map(float, re.match(r"M([\d.]+) ([\d.]+)", drawn).groups())
    left, base = x, y + 212  # recall 0 and precision 0, in pixels of a drawing of 452 x 212 that begins at precision 1
    for axis, to in re.findall(r"([HV])([\d.]+)", drawn):
        if axis == "H":
            area, x = area + (float(to) - x) * (base - y), float(to)
        else:
            y = float(to)
    assert x - left == pytest.approx(452)
    assert area / (452 * 212) == pytest.approx(average_precision_score(label, drone), abs=2e-3)


def test_every_head_has_its_classes_and_a_clip_tells_all(workdir):
    label = {"verb": np.arange(7) % 2, "noun": np.arange(7) % 3}
    labels = {"verb": ("take", "put"), "noun": ("cup", "pan", "lid")}
    logits = {head: random_logits(label[head], len(labels[head]), 1.0, 5) for head in label}
    page = scored(workdir, evaluation(label, logits, labels))
    assert all(title in page.text for title in ("Classes of verb", "Classes of noun"))
    assert {"head-0-roc", "head-0-calibration", "head-1-calibration"} <= set(page.charts)
    assert len(page.clips) == 7
    assert page.text.count("verb: ") == page.text.count("noun: ") == 7


def test_several_labels_have_precisions_and_calibration_without_a_confusion(workdir):
    present = np.random.default_rng(0).random((7, 3)) < 0.5
    present[0] = True
    page = scored(workdir, evaluation(present.astype(int), random_logits(present.astype(int), 3, 1.0, 1), LABELS))
    per_class = json.loads((workdir / "evaluation.json").read_text())["per_class"]
    for name, row in per_class.items():
        assert any(cells[:2] == [name, f"{row['average_precision']:.1%}"] for cells in page.cells)
    assert sum(int(of) for of in page.charts["head-0-calibration"]["series"][0]["beside"]["predictions"]) == 21
    assert "Confusion" not in page.text


@pytest.mark.slow
def test_a_thousand_classes_with_long_names_and_many_steps_stay_below_five_megabytes(workdir):
    labels = tuple(f"{number} {'long ' * 40}" for number in range(1200))
    label = np.arange(1200)
    scores = evaluation(label, random_logits(label, 1200, 4.0, 0), labels)
    said = {"label": labels[0], "prediction": labels[1], "probability": 0.5, "probabilities": dict.fromkeys(labels, 0.5 / 1199)}
    record = {"split": "test", **scores.to_dict(), "predictions": [{"index": index} | said for index in range(7)]}
    (workdir / "evaluation.json").write_text(json.dumps(record))
    loss = np.random.default_rng(1).random(30_000).tolist()
    loss[12_345], loss[20_000] = 55.5, None
    rows = [json.dumps({"step": step, "train/loss": value, "train/grad_norm": value}) for step, value in enumerate(loss)]
    (workdir / "metrics.jsonl").write_text("\n".join(rows))
    page = reported(workdir)
    assert "The 1,000 of 1,200 classes with the most examples." in page.text
    assert "The mistakes made most often." in page.text
    points = dict(page.lines())["loss", "training"]
    assert len(points) <= 2000
    assert (12_345, 55.5) in points, "a peak is not thinned away"
    assert "Of 30,000 steps" in page.text


@pytest.mark.parametrize("probability", [1.5, float("nan"), -1])
def test_what_is_no_probability_is_not_shown_as_one(workdir, probability):
    label = np.arange(7) % 2
    write_evaluation(workdir / "evaluation.json", evaluation(label, random_logits(label, 2, 1.0, 0), ("cat", "dog")))
    record = json.loads((workdir / "evaluation.json").read_text())
    record["predictions"][3]["probability"] = probability
    (workdir / "evaluation.json").write_text(json.dumps(record))
    page = reported(workdir)
    assert "neither clips nor calibration can be shown" in page.text
    assert not any(name.startswith("head") for name in page.charts)


def test_a_class_that_a_head_does_not_have_is_no_prediction():
    record = {"heads": {"verb": {"per_class": {"take": {}}}}}
    row = {"index": 0, "label": {"verb": 0}, "prediction": {"verb": "take"}, "probability": {"verb": 0.5}}
    assert len(examples_of(record | {"predictions": [row]})) == 1
    assert examples_of(record | {"predictions": [row | {"label": {"verb": -5}}]}) == []


def test_a_single_class_makes_a_page(workdir):
    label = np.zeros(7, int)
    assert "7 of 7 examples" in scored(workdir, evaluation(label, random_logits(label, 1, 1.0, 0), ("only",))).text


def test_a_validation_that_was_not_a_number_is_no_best(workdir):
    (workdir / "evaluation.json").unlink(missing_ok=True)
    (workdir / "metrics.jsonl").write_text('{"step": 1, "val/top1": null}\n{"step": 2, "val/top1": 0.5}\n')
    assert "best validation top-1, at step 2" in write_report(workdir).read_text()
    (workdir / "metrics.jsonl").write_text('{"step": 1, "val/top1": null}\n')
    assert "Not evaluated yet" in write_report(workdir).read_text()


@pytest.mark.parametrize(
    ("best", "shown"),
    [
        ("loss", ("0.2500", "best validation loss, at step 1")),
        ("top5", ("90.00%", "best validation top-5, at step 2")),
        ("last", ("60.00%", "last validation top-1, at step 3")),
    ],
)
def test_the_best_validation_is_by_the_score_that_the_run_keeps_its_model_by(workdir, best, shown):
    recorded = json.loads((workdir / "config.json").read_text())
    recorded["config"]["evaluation"]["best"] = best
    (workdir / "config.json").write_text(json.dumps(recorded))
    rows = [{"val/top1": 0.2, "val/top5": 0.8, "val/loss": 0.25}, {"val/top1": 0.3, "val/top5": 0.9, "val/loss": 0.5}]
    rows.append({"val/top1": 0.6, "val/top5": 0.9, "val/loss": 0.75})
    (workdir / "metrics.jsonl").write_text("".join(json.dumps({"step": step} | row) + "\n" for step, row in enumerate(rows, start=1)))
    page = reported(workdir)
    assert all(part in page.text for part in shown)


def test_a_last_validation_without_a_value_is_not_shown(workdir):
    recorded = json.loads((workdir / "config.json").read_text())
    recorded["config"]["evaluation"]["best"] = "last"
    (workdir / "config.json").write_text(json.dumps(recorded))
    (workdir / "evaluation.json").unlink(missing_ok=True)
    (workdir / "metrics.jsonl").write_text('{"step": 1, "val/top1": 0.5}\n{"step": 2, "val/top1": null}\n')
    assert "last validation top-1, at step 1" in write_report(workdir).read_text()


def test_torn_and_foreign_rows_of_metrics_are_counted_and_the_others_read(workdir, capsys):
    whole = (workdir / "metrics.jsonl").read_text().splitlines()
    foreign = ['{"step": 2, "train/lo', "[]", "null", '{"loss": 1}', '{"step": "3"}', '{"step": 1, "train/loss": {}}', "\udcff"]
    text = "\n".join([whole[0], *foreign, *whole[1:]])
    (workdir / "metrics.jsonl").write_bytes(text.encode(errors="surrogateescape"))
    assert open_run(workdir).metrics() == [json.loads(row) for row in whole]
    assert f"7 of {7 + len(whole)} rows are not metrics" in " ".join(capsys.readouterr().out.split())


def test_scores_of_an_earlier_version_with_classes_by_number_are_read(workdir, vivit):
    assert vivit("evaluate", "--workdir", workdir)[0] == 0
    scores = json.loads((workdir / "evaluation.json").read_text())
    labels = list(scores["per_class"])
    before = reported(workdir)
    for row in scores["predictions"]:
        row |= {"label": labels.index(row["label"]), "prediction": labels.index(row["prediction"])}
    (workdir / "evaluation.json").write_text(json.dumps(scores))
    assert reported(workdir).text == before.text
