"""Draws docs/images/architecture.svg: the rooms of the package, each above all that it imports, counted from the imports themselves.

python docs/draw_architecture.py
"""

import ast
import collections
import functools
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "vivit_jax"
FLOOR = "floor"  # modules of the root that every room may use


def rooms() -> dict[str, list[pathlib.Path]]:
    """The files of each room: a folder of the package, one of `models`, `weights`, `data` or `training` by its own name, or the floor."""
    found = collections.defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        found[parts[0] if len(parts) > 1 else path.stem if path.stem in ("cli", "config", "recipes") else FLOOR].append(path)
    return dict(found)


def arrows() -> collections.Counter:
    """(room, room it imports) with the number of files that do, over all imports, those inside functions too."""
    by_path = {path: room for room, paths in rooms().items() for path in paths}
    counted = collections.Counter()
    for path, room in by_path.items():
        imported = {by_path[target] for name in imports(path) if (target := file_of(name)) in by_path}
        counted.update((room, other) for other in imported - {room})
    return counted


def imports(path: pathlib.Path) -> set[str]:
    """The dotted names that a file imports from the package, modules and what they may hold."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.startswith("vivit_jax")}


def file_of(name: str) -> pathlib.Path | None:
    """The file of a dotted name, if it is a module."""
    path = ROOT / name.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def floors(edges: collections.Counter) -> dict[str, int]:
    """How high each room stands: one above the highest that it imports."""

    @functools.cache
    def height(room: str) -> int:
        below = [other for (one, other) in edges if one == room]
        return 1 + max(map(height, below), default=-1)

    return {room: height(room) for room in rooms()}


def draw(path: pathlib.Path) -> None:
    """Draws rooms as boxes with their lines of code, and imports between rooms as arrows; those of the floor are left out."""
    from matplotlib.figure import Figure

    edges = arrows()
    heights, lines = floors(edges), {room: sum(len(file.read_text().splitlines()) for file in files) for room, files in rooms().items()}
    levels = collections.defaultdict(list)
    for room, height in sorted(heights.items()):
        levels[height].append(room)
    places = {room: ((i + 1) / (len(row) + 1), height) for height, row in levels.items() for i, room in enumerate(row)}
    figure = Figure(figsize=(8, 0.9 * len(levels) + 0.6), layout="constrained")
    axes = figure.subplots()
    for (room, other), count in sorted(edges.items()):
        if FLOOR not in (room, other):
            axes.annotate(
                "", xy=places[other], xytext=places[room], arrowprops={"arrowstyle": "->", "color": "0.6", "lw": 0.5 + min(count, 10) / 6}
            )
    for room, (x, y) in places.items():
        box = {"boxstyle": "round,pad=0.4", "facecolor": "#eef2ff", "edgecolor": "#4f46e5"}
        axes.text(x, y, f"{room}\n{lines[room]:,} lines", ha="center", va="center", fontsize=9, bbox=box)
    axes.set(xlim=(0, 1), ylim=(-0.6, max(levels) + 0.6))
    axes.axis("off")
    figure.savefig(path, metadata={"Date": None}, transparent=True)


if __name__ == "__main__":
    draw(ROOT / "docs" / "images" / "architecture.svg")
    for (room, other), count in sorted(arrows().items()):
        print(f"{room} -> {other}: {count}")
