"""The report in a real browser, where there is one: Chromium, and Playwright to drive it."""

import json
import shutil

import numpy as np
import pytest
from accessibility import check_tree, tab_stops
from chromium import page_width
from toys import CONFIG
from written_runs import evaluation, random_logits, write_run

import vivit_jax
from vivit_jax.runs.report.write import write_report

LABELS = ("bird", "drone")
LOSSES = {"training": "train/loss", "validation": "val/loss"}


@pytest.fixture(scope="module")
def run(browser, tmp_path_factory, data_dir):
    """The work directory of a run of two classes, with its report and an exploration beside its test."""
    label = np.arange(7) % 2
    scores = evaluation(label, random_logits(label, 2, 1.0, 3), LABELS)
    folder = write_run(tmp_path_factory.mktemp("reports") / "run", scores, CONFIG, data_dir)
    shutil.copy(folder / "evaluation.json", folder / "evaluation-val-1x1.json")
    rows = [{"step": step, "train/loss": 3 / step, "train/learning_rate": 1e-3 / step} for step in range(10, 501, 10)]
    rows += [{"step": step, "val/loss": 4 / step, "val/top1": step / 600} for step in range(55, 501, 55)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sorted(rows, key=lambda row: row["step"])))
    write_report(folder)
    return folder


@pytest.fixture
def opened(visits, run):
    """Opens the report; it must load nothing, say nothing on the console, and fit the screen."""

    def opened(width=1280, folder=run, name="report.html", **options):
        page = visits.open((folder / name).as_uri(), width=width, **options)
        assert page_width(page) <= width
        return page

    yield opened
    assert visits.said == []
    assert [url for url in visits.asked if not url.startswith(("file:", "data:"))] == []


def hover(page, chart, x, y=0.5):
    """Puts the mouse at a share of the drawing's width and height."""
    svg = page.locator(f"#{chart} svg").first
    svg.scroll_into_view_if_needed()
    box = svg.bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    return box


def marks(page, chart):
    """The numbers along the horizontal axis."""
    return [float(text) for text in page.locator(f"#{chart} svg > text[text-anchor=middle]").all_text_contents() if text != "step"]


def test_the_values_at_a_step_are_those_of_the_metrics_and_a_drag_zooms(opened, run):
    page = opened()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    told = {name: {row["step"]: row[key] for row in rows if key in row} for name, key in LOSSES.items()}
    for place in (0.2, 0.5, 0.53, 0.9):
        width = hover(page, "curve-0", place)["width"]
        step = int(page.inner_text("#curve-0 .place").removeprefix("step "))
        assert step == pytest.approx(10 + (place * width - 54) / (width - 54 - 14) * 490, abs=6)  # the axis begins 54 pixels from the left
        for name, losses in told.items():
            reading = page.locator("#curve-0 .entry", has_text=name).locator(".reading").inner_text()
            assert step not in losses or reading == f"{losses[step]:.6g}"
    before = marks(page, "curve-0")
    box = hover(page, "curve-0", 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 50, steps=3)
    page.mouse.up()
    assert max(before) - min(before) > 2 * (max(marks(page, "curve-0")) - min(marks(page, "curve-0")))
    page.click("#curve-0 >> text=Reset zoom")
    assert marks(page, "curve-0") == before


@pytest.mark.slow
def test_a_logarithmic_axis_a_hidden_line_and_the_keyboard(opened, run):
    page = opened()
    page.click("#curve-0 >> text=Log scale")
    numbers = [float(text) for text in page.locator("#curve-0 svg > text[text-anchor=end]").all_text_contents()]
    heights = [
        float(y) for y in page.locator("#curve-0 svg > text[text-anchor=end]").evaluate_all("all => all.map(one => one.getAttribute('y'))")
    ]
    slopes = np.diff(heights) / np.diff(np.log(numbers))
    assert slopes == pytest.approx(slopes[0], rel=1e-3)
    lines = page.locator("#curve-0 path.line")
    assert lines.count() == 2
    page.click("#curve-0 .entry:has-text('validation')")
    assert lines.count() == 1
    page.locator("#curve-0 svg").first.focus()
    for key in ("End", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.inner_text("#curve-0 .spoken") == f"step 490; training {3 / 490:.6g}"
    page.keyboard.press("+")
    assert max(marks(page, "curve-0")) - min(marks(page, "curve-0")) <= 250
    page.keyboard.press("0")
    assert page.is_hidden("#curve-0 >> text=Reset zoom")


@pytest.mark.slow
def test_clips_play_and_stop(opened):
    page = opened()
    times = "() => [...document.querySelectorAll('video')].map(clip => [clip.readyState, clip.currentTime, clip.videoWidth])"
    page.wait_for_function("[...document.querySelectorAll('video')].every(clip => clip.readyState >= 2 && clip.currentTime > 0.1)")
    assert page.evaluate(times)[0][2] == 32
    page.click("text=Pause all clips")
    before = page.evaluate(times)
    page.wait_for_timeout(300)
    assert page.evaluate(times) == before
    still = opened(reduced_motion="reduce")
    still.wait_for_selector("text=Play all clips")
    assert still.evaluate("[...document.querySelectorAll('video')].every(clip => clip.paused)")


@pytest.mark.slow
def test_tables_sort_and_all_that_can_be_used_has_a_name(opened):
    page = opened(390, color_scheme="dark", has_touch=True)
    table = page.locator("#part-2 table.sortable")
    shares = {}
    for state in ("descending", "ascending"):
        table.locator("th:has-text('top-1') button").click()
        assert table.locator("th:has-text('top-1')").get_attribute("aria-sort") == state
        shares[state] = [float(text.removesuffix("%")) for text in table.locator("tbody tr td:nth-child(2)").all_inner_texts()]
    assert shares["descending"] == sorted(shares["ascending"], reverse=True)
    assert shares["ascending"] == sorted(shares["ascending"])
    nameless = """elements => elements.filter(element => !(element.textContent.trim() || element.getAttribute('aria-label')
        || element.getAttribute('alt'))).map(element => element.outerHTML)"""
    assert page.locator("button, a, img, video, svg[role], [role=region]").evaluate_all(nameless) == []
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("h1").count() == 1
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, background.removeprefix("rgb(").removesuffix(")").split(","))) < 60


@pytest.mark.slow
def test_screen_readers_and_the_keyboard_find_all_of_the_report(opened):
    page = opened(320, reduced_motion="reduce")  # as wide as 1280 pixels at a zoom of 400 %
    nodes = check_tree(page)
    charts = [name for role, name, _ in nodes if role == "application"]
    assert len(charts) >= 4 and all("lowest" in name for name in charts)
    stops = tab_stops(page)
    assert set(charts) <= set(stops)
    assert {"Log scale", "Values", "top-1", "Play all clips", "What the columns mean"} <= set(stops)
    page.locator("#part-2 th:has-text('top-1') button").focus()
    for state in ("descending", "ascending"):
        page.keyboard.press("Enter")
        assert page.locator("#part-2 th:has-text('top-1')").get_attribute("aria-sort") == state


@pytest.mark.slow
def test_screen_readers_and_the_keyboard_find_all_of_a_comparison(opened, run, tmp_path):
    other = shutil.copytree(run, tmp_path / "other")
    vivit_jax.compare([run, other], out=tmp_path / "comparison", speed=False, resamples=100)
    page = opened(320, folder=tmp_path / "comparison", name="compare.html", reduced_motion="reduce")
    nodes = check_tree(page)
    assert sum(role == "image" for role, *_ in nodes) > 1
    assert "What the columns mean" in tab_stops(page)


@pytest.mark.slow
def test_without_scripts_and_on_paper_all_is_there(opened):
    page = opened(java_script_enabled=False)
    assert page.locator("#curve-0 svg path.line").count() == 2
    assert "lowest 0.006 at step 500" in page.locator("#curve-0 svg").get_attribute("aria-label")
    page.click("#curve-0 summary")
    assert page.locator("#curve-0 tbody tr").count() > 20
    assert page.locator("video[controls]").count() == 7
    assert page.pdf()[:5] == b"%PDF-"
