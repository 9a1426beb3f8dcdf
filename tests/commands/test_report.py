"""The page a run ends in: whole, self-contained, true to the scores."""

import base64
import html.parser
import io
import json
import re

import pytest
from PIL import Image

from vivit_jax.errors import UserError
from vivit_jax.report import write_report


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
