"""The rooms of the house and who may know whom, so that a change in one cannot reach where it should not."""

import ast
import pathlib
import re

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "vivit_jax"

# The floors from the ground up, each with its rooms and what they are made of. A room imports its own modules and those of lower floors,
# never a room beside it. Imports inside functions count as well; the names in the registries of commands, families and public names are
# strings and do not, for a registry is how a lower room is told of what lies above it.
#
# - The ground knows nothing of models or videos, and `statistics` of nothing but arrays.
# - `weights` and `data` know a model's config at most, and not each other: what joins them, a `Preprocess`, lies on the ground.
# - `training` is the step and what it needs, told in the dataclasses of `training.config`. It reads neither files nor data sets.
# - `config` stands above training because an Experiment is made of the sections of the rooms below it.
# - `inference` says what a model sees and `analysis` what it costs; a run does both of its own model, so `runs` lies above them.
# - `commands` turn arguments into one call below, and its answer into a table. Nobody but `cli` knows them, and by name alone.
FLOORS = (
    {"ground": "accelerators atomic console drawing errors extras files heads places preprocess process quiet scratch typed versions"},
    {"models": "models", "statistics": "statistics"},
    {"weights": "weights", "data": "data"},
    {"training": "training"},
    {"config": "config config_file keys recipes"},
    {"inference": "inference", "analysis": "analysis"},
    {"runs": "runs"},
    {"serving": "serving"},
    {"commands": "commands"},
    {"cli": "cli __main__ __init__"},
)
ROOMS = {part: room for floor in FLOORS for room, parts in floor.items() for part in parts.split()}
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}


def module_of(path: pathlib.Path) -> str:
    """`data.pipeline`; a package by its own name."""
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name if name == "__init__" else name.removesuffix(".__init__")


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


def imported(path: pathlib.Path) -> set[str]:
    """The modules of the package that a file imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports are not followed"
            names |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {(alias.name, "") for alias in node.names}
    ours = ((module.partition(".")[2], name) for module, name in names if module.split(".")[0] == "vivit_jax")
    return {_resolved(module, name) for module, name in ours}


def _resolved(module: str, name: str) -> str:
    inner = f"{module}.{name}".strip(".")
    return inner if inner in MODULES else module or "__init__"


GRAPH = {module: imported(path) for module, path in MODULES.items()}


def room_of(module: str) -> str:
    return ROOMS[module.split(".")[0]]


def test_every_module_is_in_a_room():
    assert {module.split(".")[0] for module in MODULES} == set(ROOMS)


@pytest.mark.parametrize("room", FLOOR_OF)
def test_a_room_imports_only_the_floors_below_it(room):
    modules = [module for module in MODULES if room_of(module) == room]
    assert modules
    wrong = [
        f"{module} imports {other}"
        for module in modules
        for other in sorted(GRAPH[module])
        if room_of(other) != room and FLOOR_OF[room_of(other)] >= FLOOR_OF[room]
    ]
    assert not wrong


def test_no_module_imports_itself_by_way_of_others():
    """Within a room too: modules are taken away that import none of those left, until none are left."""
    left = dict(GRAPH)
    while free := [module for module, others in left.items() if not others & (left.keys() - {module})]:
        for module in free:
            del left[module]
    assert not left, f"a circle among {sorted(left)}"


def test_commands_hold_what_the_table_of_commands_names():
    from vivit_jax.cli import COMMANDS

    homes = {name: module for name, (module, _) in COMMANDS.items()}
    assert homes == {name: f"vivit_jax.commands.{name}" for name in homes}
    for name in homes:
        defined = {node.name for node in ast.parse(MODULES[f"commands.{name}"].read_text()).body if isinstance(node, ast.FunctionDef)}
        assert {"add_arguments", "run"} <= defined
        assert "Example:" in ast.get_docstring(ast.parse(MODULES[f"commands.{name}"].read_text()))


def test_importing_the_package_imports_no_library():
    """`import vivit_jax` and `vivit --help` are quick because everything heavy is imported when it is used."""
    for name in ("__init__.py", "__main__.py", "process.py", "cli.py"):
        modules = {
            node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.parse((PACKAGE / name).read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert not modules & {"jax", "flax", "numpy", "grain", "av", "cv2"}, name


@pytest.mark.parametrize("room", ["weights", "training", "inference"])
def test_a_rooms_first_lines_name_modules_that_are_there(room):
    docstring = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
    named = re.findall(r"`([a-z_0-9/]+)`", docstring)
    folders = (PACKAGE / room, PACKAGE)
    assert named
    assert not [name for name in named if not any((folder / name).is_dir() or (folder / f"{name}.py").is_file() for folder in folders)]
