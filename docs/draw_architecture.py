"""Draws docs/images/architecture.svg: the rooms of the package on their floors, with an arrow for each room that another imports.

  PYTHONPATH=tests python docs/draw_architecture.py

Floors, rooms and imports are those of tests/test_rooms.py, which holds the rule that no arrow runs up.
"""

import collections
import pathlib

from matplotlib.figure import Figure
from test_rooms import FLOORS, GRAPH, MODULES, room_of

ROOT = pathlib.Path(__file__).parents[1]
EVERYWHERE = "ground"  # whose arrows would hide the others
BOX = {"boxstyle": "round,pad=0.45", "facecolor": "#eef2ff", "edgecolor": "#4f46e5"}


def arrows() -> collections.Counter:
    """(room, room that it imports) with the number of imports between their modules."""
    pairs = ((room_of(module), room_of(other)) for module, others in GRAPH.items() for other in others)
    return collections.Counter(pair for pair in pairs if pair[0] != pair[1])


def draw(path: pathlib.Path) -> None:
    """Draws each room as a box with its modules and lines, on its floor."""
    size = collections.defaultdict(lambda: [0, 0])
    for module, file in MODULES.items():
        size[room_of(module)][0] += 1
        size[room_of(module)][1] += len(file.read_text().splitlines())
    places = {room: ((i + 1) / (len(floor) + 1), height) for height, floor in enumerate(FLOORS) for i, room in enumerate(floor)}
    figure = Figure(figsize=(7.5, 0.8 * len(FLOORS) + 0.4), layout="constrained")
    axes = figure.subplots()
    for (room, other), count in sorted(arrows().items()):
        if EVERYWHERE not in (room, other):
            bend = f"arc3,rad={0.18 if places[room][1] - places[other][1] > 1 else 0}"
            style = {
                "arrowstyle": "->",
                "color": "0.55",
                "lw": 0.5 + min(count, 24) / 12,
                "connectionstyle": bend,
                "shrinkA": 14,
                "shrinkB": 14,
            }
            axes.annotate("", xy=places[other], xytext=places[room], arrowprops=style)
    for room, (x, y) in places.items():
        modules, lines = size[room]
        axes.text(x, y, f"{room}\n{modules} files, {lines:,} lines", ha="center", va="center", fontsize=8.5, bbox=BOX)
    axes.set(xlim=(0.05, 0.95), ylim=(-0.6, len(FLOORS) - 0.4))
    axes.axis("off")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    draw(ROOT / "docs" / "images" / "architecture.svg")
    counted = arrows()
    print(f"{len(FLOORS)} floors, {sum(map(len, FLOORS))} rooms, {len(counted)} arrows of {counted.total()} imports")
