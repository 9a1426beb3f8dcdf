"""The rooms of the house and who may know whom, so that a change in one cannot reach where it should not."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "vivit_jax"
BOTTOM = {"console", "errors", "files", "preprocess", "quiet"}
MAY_IMPORT = {
    "models": BOTTOM,
    "data": BOTTOM,
    "weights": BOTTOM | {"models"},
    "training": BOTTOM | {"models", "data", "weights", "config"},
}


def imported_parts(path: pathlib.Path) -> set[str]:
    """The parts of the package that a file imports when it is imported itself."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("vivit_jax.")}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_the_rooms_below_it(room):
    files = sorted((PACKAGE / room).rglob("*.py"))
    assert files
    for path in files:
        assert imported_parts(path) <= MAY_IMPORT[room] | {room}, path


def test_importing_the_package_imports_no_library():
    """`import vivit_jax` and `vivit --help` are quick because everything heavy is imported when it is used."""
    for name in ("__init__.py", "__main__.py", "process.py", "cli.py"):
        modules = {
            node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.parse((PACKAGE / name).read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert not modules & {"jax", "flax", "numpy", "grain", "av", "cv2"}, name
