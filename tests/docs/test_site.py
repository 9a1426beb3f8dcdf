"""The documentation site builds without a warning, its links hold, it names no server, and its written pages are those of the code."""

import importlib.util
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def written_by(script):
    spec = importlib.util.spec_from_file_location(script, ROOT / "docs" / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gallery_is_that_of_the_configs():
    gallery = written_by("write_gallery")
    assert gallery.PAGE.read_text(encoding="utf-8") == gallery.page(), "run: python docs/write_gallery.py"
    assert {name for names in gallery.GROUPS.values() for name in names} == {path.stem for path in (ROOT / "configs").glob("*.py")}


def test_the_pictures_of_attention_count_the_tokens_of_each_model():
    drawing = written_by("draw_attention")
    times, side = drawing.TIMES, drawing.SIDE
    counts = {
        number: [sum(mask.sum() for mask in (attended or {}).values()) for _, attended in steps] for number, steps in drawing.MODELS.items()
    }
    assert counts == {1: [times * side**2], 2: [side**2, 0], 3: [side**2, times], 4: [side**2 + times]}


def test_an_equation_that_begins_a_line_stays_in_its_sentence():
    """Markdown takes a bare <math> there for a block, and ends the paragraph."""
    pytest.importorskip("latex2mathml")
    markdown = pytest.importorskip("markdown")
    html = markdown.markdown(written_by("site").on_page_markdown("One linear map\n$E$ makes tokens."), extensions=["md_in_html"])
    assert re.fullmatch(r"<p>One linear map\s<span><math.*</math></span> makes tokens\.</p>", html, re.DOTALL)


def test_long_names_in_tables_may_be_broken_and_addresses_stay_whole():
    pytest.importorskip("latex2mathml")
    name, short = "test_an_interrupted_run_is_the_same", "--split_number 1"
    cell = f'<td><a href="{name}.html">{name}</a> <code>{short}</code> <code>SOURCE/{{train,val,test}}/CLASS/*.mp4</code></td>'
    html = written_by("site").on_page_content(f"<p>{name}</p>{cell}")
    assert f"<p>{name}</p>" in html and f'href="{name}.html"' in html and f"<code>{short}</code>" in html
    assert ">" + name.replace("_", "_<wbr>") + "</a>" in html
    assert '<code class="long">SOURCE/<wbr>{train,<wbr>val,<wbr>test}/<wbr>CLASS/<wbr>*.mp4</code>' in html


@pytest.mark.slow
def test_the_site_builds_and_needs_no_network(tmp_path):
    pytest.importorskip("mkdocs")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", tmp_path / "site"], cwd=ROOT, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        html = page.read_text(encoding="utf-8")
        assert not re.search(
            r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//|<link[^>]+rel="(?:stylesheet|preload)"[^>]+href="(?:https?:)?//', html
        ), page
        for link in re.findall(r'href="([^":#]+)["#]', html):
            assert page.name == "404.html" or (page.parent / link).exists(), (page, link)
    assert "<math" in (tmp_path / "site" / "models" / "index.html").read_text(encoding="utf-8")
