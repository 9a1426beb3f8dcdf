"""The README's Python, run as it stands."""

import pathlib
import re

README = pathlib.Path(__file__).parents[2] / "README.md"


def test_the_python_of_the_readme_runs_and_gives_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names = {}
    exec(block, names)
    assert names["logits"].shape == (1, 3)
    ranking = names["pretrained"].predict(names["frames"], top_k=2)
    assert len(ranking) == 2
    assert {label for label, _ in ranking} <= {"run", "wave", "jump"}


def test_the_figures_of_the_readme_are_those_of_the_pages_it_names():
    """Speeds stand on docs/performance.md, and the scores of a row on the page that the row names."""
    text = README.read_text(encoding="utf-8")
    (speed,) = re.findall(r"^## Speed\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    rows = [(row, "docs/performance.md") for row in speed.splitlines() if row.startswith("|")]
    rows += re.findall(r"^(\|.*)\((docs/\w+\.md)(?:#[\w-]+)?\) \|$", text, re.MULTILINE)
    figures = [(figure, page) for row, page in rows for figure in re.findall(r"\d+\.\d+", row)]
    assert len(figures) > 25
    pages = {page: (README.parent / page).read_text(encoding="utf-8") for _, page in figures}
    assert [pair for pair in figures if pair[0] not in pages[pair[1]]] == []
