"""Text on the pages has the contrast of WCAG 2.2 (1.4.3: 4.5 to 1), on light and on dark, and figures have the pages' colours."""

import base64
import pathlib
import re

import pytest

import vivit_jax
from vivit_jax.runs import plots

PACKAGE = pathlib.Path(vivit_jax.__file__).parent
REPORT, PAGE = PACKAGE / "runs" / "pages" / "static" / "page.css", PACKAGE / "serving" / "static" / "page.css"
GROUNDS = ("page", "card", "raised")


def schemes(path):
    """The colours of a style sheet by name, light and dark."""
    blocks = re.findall(r":root \{(.*?)\}", path.read_text(encoding="utf-8"), re.DOTALL)
    light, dark = ({name: hexed(value) for name, value in re.findall(r"--([\w-]+): (#\w{6})", block)} for block in blocks[:2])
    return light, dark


def hexed(value):
    return [int(value[i : i + 2], 16) for i in (1, 3, 5)]


def luminance(colour):
    linear = [v / 255 / 12.92 if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("path", "inks"),
    [(REPORT, ("ink", "soft", "s0", "s1", "s2", "s3", "good", "bad")), (PAGE, ("ink", "soft", "first", "second", "third", "bad"))],
    ids=["report", "serve"],
)
def test_every_ink_is_legible_on_every_ground(path, inks):
    for colours in schemes(path):
        assert min(contrast(colours[ink], colours[ground]) for ink in inks for ground in GROUNDS) >= 4.5


def test_text_over_colour_is_legible():
    strongest = float(re.search(r"calc\(var\(--share\) \* (\d+)%\)", REPORT.read_text(encoding="utf-8"))[1]) / 100
    for colours in schemes(REPORT):
        shade = [strongest * bar + (1 - strongest) * page for bar, page in zip(colours["bar"], colours["page"], strict=True)]
        assert contrast(colours["ink"], shade) >= 4.5  # of the confusion matrix
        assert contrast(colours["page"], colours["bar"]) >= 4.5  # of a pressed button
    for colours in schemes(PAGE):
        assert contrast(colours["on-first"], colours["first"]) >= 4.5


def test_figures_have_the_inks_of_the_pages():
    names = ("soft", "s0", "s1", "s2", "bad")
    for drawn, colours in zip((plots.LIGHT, plots.DARK), schemes(REPORT), strict=True):
        assert [hexed(colour) for colour in drawn] == [colours[name] for name in names]
    with plots.new_figure() as figure:
        figure.subplots().plot([0, 1], [0, 1], color=plots.COLOURS[1])
        svg = base64.b64decode(plots.uri(figure).partition(",")[2]).decode()
    assert "var(--c0)" in svg and "var(--c2)" in svg
    assert set(re.findall(r"#\w{6}\b", svg)) == {*plots.LIGHT, *plots.DARK}
