"""The README's badges say what pyproject.toml says."""

import importlib.util
import pathlib
import tomllib
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).parents[2]


def test_the_badges_are_those_of_this_version():
    spec = importlib.util.spec_from_file_location("write_badges", ROOT / "docs" / "write_badges.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    said = {}
    for name, words in script.badges().items():
        drawn = xml.etree.ElementTree.parse(ROOT / "docs" / "images" / f"badge_{name}.svg")
        said[name] = tuple(text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text"))
        assert said[name] == words, f"badge_{name}.svg is out of date: python docs/write_badges.py"
    assert said["version"] == ("version", project["version"])
    assert said["licence"] == ("licence", project["license"])
