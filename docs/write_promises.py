"""Writes docs/promises.md, a row for each `fault` marker of the tests: what is promised, how a test provokes it, what a user sees.

python docs/write_promises.py
"""

import collections
import pathlib

from markers import markers  # beside this file

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "promises.md"
SUBJECTS = {  # a heading, and the files whose tests stand under it
    "Runs and checkpoints": ("test_runs", "test_checkpoints", "test_checkpoint", "test_signals"),
    "Numbers": ("test_executors", "test_evaluation", "test_still_clip", "test_collections"),
    "Data": ("test_sets", "test_preparation", "test_pipeline", "test_videos", "test_guard"),
    "Weights and models": ("test_weights", "test_model_dirs", "test_hostile_files", "test_model_dir", "test_convert", "test_export"),
    "Commands": ("test_commands", "test_reports"),
}
INTRODUCTION = """\
# What is promised, and how it is shown

Each row is a test that provokes the fault for real: a killed process, a full disk, a flipped bit, a broken file. The tests run in CI, those
marked slow too. `trials` is how many times a test provokes its fault in one run. This page is made from the tests' markers by
`python docs/write_promises.py`.
"""


def main() -> None:
    """Rewrites the page."""
    PAGE.write_text(page())


def page() -> str:
    """The page, a table a subject."""
    rows = collections.defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for marker in markers(path, "fault"):
            subject = next(subject for subject, files in SUBJECTS.items() if path.stem in files)
            rows[subject].append((marker, f"`{path.relative_to(ROOT)}::{marker['test']}`"))
    return INTRODUCTION + "".join(section(subject, rows[subject]) for subject in SUBJECTS)


def section(subject: str, rows: list[tuple[dict, str]]) -> str:
    """A heading and its table."""
    lines = [f"\n## {subject}\n\n", "| promise | provoked by | what a user sees | trials | test |\n|---|---|---|---|---|\n"]
    for marker, test in rows:
        cells = (marker["promise"], marker["provoked"], marker["seen"], str(marker["trials"]), test)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
    return "".join(lines)


if __name__ == "__main__":
    main()
