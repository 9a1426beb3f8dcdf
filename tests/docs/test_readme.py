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
