"""The page a run ends in: whole, self-contained, true to the scores."""

import base64
import html.parser
import io
import json
import re
import xml.etree.ElementTree

import pytest
from PIL import Image
from toys import CONFIG, PREPROCESS, random_variables

from vivit_jax.errors import UserError
from vivit_jax.runs import record as runs
from vivit_jax.runs import report
from vivit_jax.runs.report import write_report
from vivit_jax.weights.model_dir import save_pretrained


class Page(html.parser.HTMLParser):
    """Collects what a page shows and what it links to; fails on tags that do not close."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.links, self.text = [], [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[name] for name in ("src", "href") if name in values]
        self.images += [values["src"]] if tag == "img" else []
        assert tag not in ("script", "b")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_a_page_shows_the_scores_curves_classes_and_clips_and_needs_nothing_else(workdir, vivit):
    assert vivit("evaluate", "--workdir", workdir)[0] == 0
    scores = json.loads((workdir / "evaluation.json").read_text())
    path = write_report(workdir)
    assert path == workdir / "report.html"
    page = Page(path.read_text())
    assert all(link.startswith("data:") for link in page.links)
    assert f"{scores['hits']} of 7 examples of toys test" in page.text
    assert "toys & <b>others</b>" in page.text
    for label, row in scores["per_class"].items():
        assert re.search(rf"{label}\s*{round(row['top1'] * row['examples'])} of {row['examples']}", page.text)
    figures = [image for image in page.images if image.startswith("data:image/svg+xml")]
    clips = [image for image in page.images if image.startswith("data:image/webp")]
    assert len(figures) == 4  # loss, top-1, learning rate, confusion
    assert len(clips) == len(scores["predictions"])
    clip = Image.open(io.BytesIO(base64.b64decode(clips[0].split(",")[1])))
    assert (clip.size, clip.n_frames) == ((32, 24), 12)


def test_a_run_without_scores_shows_what_it_has(workdir):
    page = Page(write_report(workdir).read_text())
    assert "50.00%" in page.text
    assert "not tested yet" in page.text
    (workdir / "metrics.jsonl").unlink()
    assert "No metrics yet" in Page(write_report(workdir).read_text()).text


def test_a_data_set_that_is_gone_leaves_a_word_in_place_of_its_clips(workdir, vivit):
    assert vivit("evaluate", "--workdir", workdir)[0] == 0
    recorded = json.loads((workdir / "config.json").read_text())
    recorded["config"]["data"]["data_dir"] = str(workdir / "gone")
    (workdir / "config.json").write_text(json.dumps(recorded))
    assert "The clips cannot be shown" in Page(write_report(workdir).read_text()).text


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="not the work directory of a run"):
        write_report(tmp_path)


@pytest.mark.parametrize("name", [r"$\foo$", "100% _sure_ ^", "犬 🐕", "<script>alert(1)</script>", "\x1b]0;gone\x07", "‮back", "x" * 300])
def test_any_class_name_is_shown_as_it_is_and_commands_nothing(name, tmp_path, workdir, vivit):
    save_pretrained(workdir / "model", CONFIG, random_variables(CONFIG), PREPROCESS, (name, "dog", "owl"))
    evaluation = {"name": "toys", "split": "test", "views": 2, "examples": 2, "hits": 1, "top1": 0.5, "top5": 1.0, "loss": 0.5}
    evaluation["per_class"] = {name: {"examples": 1, "top1": 1.0}, "dog": {"examples": 1, "top1": 0.0}}
    evaluation["confusion"] = [[1, 0], [1, 0]]
    evaluation["predictions"] = [
        {"index": i, "label": label, "prediction": name, "probability": 0.5} for i, label in enumerate((name, "dog"))
    ]
    (workdir / "evaluation.json").write_text(json.dumps(evaluation))
    text = write_report(workdir).read_text()
    page = Page(text)
    assert "\x1b" not in text
    assert "‮" not in text
    if name.isprintable():
        assert name in page.text
    for image in page.images:
        if image.startswith("data:image/svg+xml"):
            xml.etree.ElementTree.fromstring(base64.b64decode(image.split(",")[1]))


def test_the_test_is_drawn_and_named_at_the_step_of_its_model(workdir, monkeypatch, vivit):
    assert vivit("evaluate", "--workdir", workdir)[0] == 0
    scores = json.loads((workdir / "evaluation.json").read_text())
    (workdir / "evaluation.json").write_text(json.dumps(scores | {"step": 3}))
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "test/top1": 0.25}\n')
    drawn = []
    monkeypatch.setattr(report.plots, "curves", lambda curves, **options: drawn.append(curves) or "data:,")
    assert "model of step 3" in write_report(workdir).read_text()
    assert {name: curve for curves in drawn for name, curve in curves.items()}["test"] == ([3], [0.25])


def test_a_validation_that_was_not_a_number_is_no_best(workdir):
    (workdir / "evaluation.json").unlink(missing_ok=True)
    (workdir / "metrics.jsonl").write_text('{"step": 1, "val/top1": null}\n{"step": 2, "val/top1": 0.5}\n')
    assert "best validation top-1, at step 2" in write_report(workdir).read_text()
    (workdir / "metrics.jsonl").write_text('{"step": 1, "val/top1": null}\n')
    assert "Not evaluated yet" in write_report(workdir).read_text()


@pytest.mark.parametrize(
    ("best", "shown"),
    [("loss", ("0.2500", "best validation loss, at step 1")), ("top5", ("90.00%", "best validation top-5, at step 2"))],
)
def test_the_best_validation_is_by_the_score_that_the_run_keeps_its_model_by(workdir, best, shown):
    recorded = json.loads((workdir / "config.json").read_text())
    recorded["config"]["evaluation"]["best"] = best
    (workdir / "config.json").write_text(json.dumps(recorded))
    rows = [{"val/top1": 0.2, "val/top5": 0.8, "val/loss": 0.25}, {"val/top1": 0.3, "val/top5": 0.9, "val/loss": 0.5}]
    rows.append({"val/top1": 0.6, "val/top5": 0.9, "val/loss": 0.75})
    (workdir / "metrics.jsonl").write_text("".join(json.dumps({"step": step} | row) + "\n" for step, row in enumerate(rows, start=1)))
    page = Page(write_report(workdir).read_text())
    assert all(part in page.text for part in shown)


def test_torn_and_foreign_rows_of_metrics_are_counted_and_the_others_read(workdir, capsys):
    whole = (workdir / "metrics.jsonl").read_text().splitlines()
    foreign = ['{"step": 2, "train/lo', "[]", "null", '{"loss": 1}', '{"step": "3"}', '{"step": 1, "train/loss": {}}', "\udcff"]
    text = "\n".join([whole[0], *foreign, *whole[1:]])
    (workdir / "metrics.jsonl").write_bytes(text.encode(errors="surrogateescape"))
    assert runs.open_run(workdir).metrics() == [json.loads(row) for row in whole]
    assert f"7 of {7 + len(whole)} rows are no metrics" in " ".join(capsys.readouterr().out.split())


def test_scores_of_an_earlier_version_with_classes_by_number_are_read(workdir, vivit):
    assert vivit("evaluate", "--workdir", workdir)[0] == 0
    scores = json.loads((workdir / "evaluation.json").read_text())
    labels = list(scores["per_class"])
    before = write_report(workdir).read_text()
    for row in scores["predictions"]:
        row |= {"label": labels.index(row["label"]), "prediction": labels.index(row["prediction"])}
    (workdir / "evaluation.json").write_text(json.dumps(scores))
    assert Page(write_report(workdir).read_text()).text == Page(before).text
