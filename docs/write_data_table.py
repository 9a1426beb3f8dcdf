"""Writes the table of docs/data.md, which says what each command does with each property of a video, from the markers of its tests.

python docs/write_data_table.py
"""

import pathlib

from markers import markers  # beside this file

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "data.md"
SOURCE = ROOT / "tests" / "data" / "test_video_properties.py"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
COLUMNS = ("property", "prepare", "predict", "explain")


def main() -> None:
    """Rewrites the page."""
    PAGE.write_text(page(PAGE.read_text()))


def page(text: str) -> str:
    """The page with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


def table() -> str:
    """The table, a row a marker, in the order of the tests."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *([marker[column] for column in COLUMNS] for marker in markers(SOURCE, "video"))]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main()
