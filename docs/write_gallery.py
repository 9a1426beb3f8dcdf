"""Writes docs/gallery.md: every config that comes with the project, in the words of its own docstring.

python docs/write_gallery.py
"""

import ast
import pathlib
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gallery.md"
BEGINNING = """\
# The configs

Each file of `configs/` is an experiment: a small Python function, whose docstring has its purpose, its commands and its results. Find the
one that is nearest to yours, copy it and change it; `vivit inspect CONFIG` shows what it makes. `docs/write_gallery.py` makes this page
from the docstrings.
"""
# Headings, and the configs below each.
GROUPS = {
    "Begin here": ("motion_digits",),
    "Your own clips": ("small_data", "video_folder", "few_clips"),
    "Small real sets": ("drone_ir", "drone_ir_finetune", "drone_ir_ablation", "medmnist3d", "cnn_or_vivit"),
    "The paper's experiments": ("vivit_kinetics400", "vivit_kinetics600", "vivit_moments", "vivit_epic_kitchens100", "vivit_ssv2"),
    "The CNNs of Karpathy et al. 2014": ("sports1m_cnn", "ucf101_cnn"),
    "A CNN of today": ("kinetics_x3d",),
}


def main() -> None:
    """Rewrites the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The configs under their headings."""
    return "\n".join([BEGINNING, *(f"## {heading}\n\n" + "\n".join(map(_entry, names)) for heading, names in GROUPS.items())])


def _entry(name: str) -> str:
    docstring = ast.get_docstring(ast.parse((ROOT / "configs" / f"{name}.py").read_text(encoding="utf-8")))
    return f"### configs/{name}.py\n\n" + "\n\n".join(map(_paragraph, docstring.split("\n\n"))) + "\n"


def _paragraph(text: str) -> str:
    """An indented paragraph of a docstring is a command or a table, and keeps its lines."""
    return f"```text\n{textwrap.dedent(text)}\n```" if text.startswith("  ") else text


if __name__ == "__main__":
    main()
