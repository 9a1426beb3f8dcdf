"""Writes the README's badges into docs/images/, each from what pyproject.toml says: python docs/write_badges.py

They are pictures of ours and no service's, so they are right without a network, and a test tells when one is not.
"""

import pathlib
import re
import tomllib

from matplotlib import font_manager
from PIL import ImageFont

ROOT = pathlib.Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
HEIGHT, MARGIN, SIZE = 20, 7, 11
FONT = "DejaVu Sans,Verdana,sans-serif"
GREY, BLUE = "#52525b", "#4f46e5"  # white text on either has a contrast above 4.5


def main() -> None:
    """Writes every badge."""
    for name, (left, right) in badges().items():
        (IMAGES / f"badge_{name}.svg").write_text(svg(left, right), encoding="utf-8")


def badges() -> dict[str, tuple[str, str]]:
    """What each badge says, left and right."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pythons = [line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r"Python :: 3\.\d+$", line)]
    (jax,) = [line.removeprefix("jax") for line in project["dependencies"] if re.match(r"jax[<>=]", line)]
    return {
        "version": ("version", project["version"]),
        "python": ("python", f"{pythons[0]} to {pythons[-1]}"),
        "jax": ("jax", f"{jax.removeprefix('>=')} or later"),
        "licence": ("licence", project["license"]),
    }


def svg(left: str, right: str) -> str:
    """A badge: two words, white on grey and white on blue. A screen reader reads its title."""
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), SIZE)
    start, rest = (round(font.getlength(text)) + 2 * MARGIN for text in (left, right))
    width = start + rest
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" role="img" aria-label="{left}: {right}">
  <title>{left}: {right}</title>
  <rect width="{width}" height="{HEIGHT}" rx="3" fill="{BLUE}"/>
  <path d="M3 0H{start}V{HEIGHT}H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="{GREY}"/>
  <g fill="#fff" text-anchor="middle" font-family="{FONT}" font-size="{SIZE}">
    <text x="{start / 2:g}" y="14" textLength="{start - 2 * MARGIN}">{left}</text>
    <text x="{start + rest / 2:g}" y="14" textLength="{rest - 2 * MARGIN}">{right}</text>
  </g>
</svg>
"""


if __name__ == "__main__":
    main()
