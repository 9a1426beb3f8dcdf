"""Hooks of the documentation site: equations become MathML, which needs no network, and links out of docs/ become plain names.

`mkdocs build` finds them by `hooks` in mkdocs.yml. On GitHub the same pages show their equations and links as they are.
"""

import re

from latex2mathml.converter import convert

FENCED = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"\$([^$\n]+)\$")
EQUATION = '<div style="overflow-x: auto; padding: 0.4em 0">{}</div>'  # on a phone, an equation is pushed sideways
OUTWARD = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?!docs/)(?:README|tests|configs|benchmarks|vivit_jax)[^)]*\)")


def on_page_markdown(markdown: str, **_: object) -> str:
    """Changes what lies outside code."""
    parts = FENCED.split(markdown)
    parts[::2] = [_mathematics(part) for part in parts[::2]]
    return OUTWARD.sub(r"\1", "".join(parts))


def _mathematics(text: str) -> str:
    text = BLOCK.sub(lambda found: EQUATION.format(convert(found[1].strip(), display="block")), text)
    return INLINE.sub(lambda found: convert(found[1]), text)
