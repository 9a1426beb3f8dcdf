"""Writes docs/promises.md, the faults that are survived, from the markers of the tests that provoke them.

python docs/write_promises.py
"""

import pathlib
from typing import Any

from markers import markers  # beside this file

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "promises.md"
COLUMNS = ("promise", "provoked", "seen", "trials")
TITLES = ("promise", "how it is provoked", "what the user sees", "trials", "test")
SUBJECTS = {  # and the tests whose markers name no subject of their own, by file
    "checkpoints": ("faults/test_checkpoints", "training/test_checkpoint", "training/test_runs"),
    "data": (
        *(
            "faults/test_videos",
            "faults/test_sets",
            "faults/test_preparation",
            "faults/test_guard",
            "fuzz/test_videos",
            "fuzz/test_layouts",
        ),
        *("fuzz/test_records", "data/test_prepare", "data/test_video", "data/test_layouts", "data/test_pipeline"),
    ),
    "numbers": ("models/test_vivit", "models/test_precision", "training/test_executors", "training/test_evaluation"),
    "weights": (
        *("weights/test_files", "weights/test_hostile_files", "weights/test_model_dir", "weights/test_still_clip"),
        *("weights/test_positions",),
    ),
    "operations": (),  # and whatever is named nowhere above
}
INTRODUCTION = """# Promises

Which faults cost you nothing, and which test shows it. On CPUs of one model, the same config, seed, versions and number of devices give a
bitwise-identical run, interrupted or not. No sample is silently replaced or dropped. No checkpoint is loaded without its checksum.

Each row is a fault that a test provokes for real: it kills a process, fills a disk, breaks a file. A trial is one provocation. Tests marked
*slow* run with `pytest -m slow`, all others with `pytest`. `python docs/write_promises.py` makes this page from the markers of the tests,
so it says only what is tested.
"""


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page())


def page() -> str:
    """The whole page: an introduction, and a table for each subject."""
    faults = {subject: [] for subject in SUBJECTS}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        slow = {marker["test"] for marker in markers(path, "slow")}
        for marker in markers(path, "fault"):
            faults[marker.get("subject", subject_of(path))].append(row(path, marker, slow=marker["test"] in slow))
    return INTRODUCTION + "".join(section(subject, rows) for subject, rows in faults.items())


def subject_of(path: pathlib.Path) -> str:
    """The subject of a test file's markers."""
    name = path.relative_to(ROOT / "tests").with_suffix("").as_posix()
    return next((subject for subject, names in SUBJECTS.items() if name in names), "operations")


def row(path: pathlib.Path, marker: dict[str, Any], *, slow: bool) -> tuple[str, ...]:
    """The cells of a row."""
    link = f"[{marker['test']}](../{path.relative_to(ROOT).as_posix()})"
    return *(str(marker[column]).replace("|", "\\|") for column in COLUMNS), f"{link}, *slow*" if slow else link


def section(subject: str, rows: list[tuple[str, ...]]) -> str:
    """A heading and its table."""
    lines = (TITLES, ("---",) * len(TITLES), *rows)
    return f"\n## {subject.capitalize()}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
