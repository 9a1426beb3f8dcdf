"""Hooks of the documentation site: equations become MathML, which needs no network, links to files that are not on the site become plain
names, and what is long in a table may be broken.

`mkdocs build` finds them by `hooks` in mkdocs.yml. On GitHub the same pages show their equations and links as they are.
"""

import re

from latex2mathml.converter import convert

FENCED = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"\$([^$\n]+)\$")
EQUATION = '<div style="overflow-x: auto; padding: 0.4em 0">{}</div>'  # on a phone, an equation is pushed sideways
OUTWARD = re.compile(r"\[([^\]]+)\]\((?:(?:\.\./)+(?!docs/)(?:README|tests|configs|benchmarks|vivit_jax)[^)]*|[^):]*\.json)\)")

CELL = re.compile(r"<td[^>]*>.*?</td>", re.DOTALL)
CODE = re.compile(r"<code>([^<]{26,})</code>")
COMMAND = re.compile(r"(?<!<pre>)<code>([^<\n]{50,})</code>")
LONG_NAME = re.compile(r"\b\w{26,}\b(?=[^<>]*<)")  # not within a tag


def on_page_markdown(markdown: str, **_: object) -> str:
    """Changes what lies outside code."""
    parts = FENCED.split(markdown)
    parts[::2] = [_mathematics(part) for part in parts[::2]]
    return OUTWARD.sub(r"\1", "".join(parts))


def on_page_content(html: str, **_: object) -> str:
    """Lets long code, and in tables long names too, be broken at blanks and after underscores, slashes and commas."""
    html = COMMAND.sub(_long_code, html)
    return CELL.sub(lambda cell: LONG_NAME.sub(lambda name: _breakable(name[0]), CODE.sub(_long_code, cell[0])), html)


def _long_code(code: re.Match[str]) -> str:
    return f'<code class="long">{_breakable(code[1])}</code>'


def _breakable(name: str) -> str:
    return re.sub(r"([_/,])", r"\1<wbr>", name)


def _mathematics(text: str) -> str:
    text = BLOCK.sub(lambda found: EQUATION.format(convert(found[1].strip(), display="block")), text)
    return INLINE.sub(lambda found: f"<span>{convert(found[1])}</span>", text)  # a bare <math> at a line's start would be a block
