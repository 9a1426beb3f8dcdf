"""Pages for reports: a single HTML file that loads nothing else, and works on a phone, in dark mode and without a mouse."""

import html
import pathlib
import unicodedata

from vivit_jax.files import write_atomically

CSS = """
:root { color-scheme: light dark; --ink: #1f2937; --soft: #6b7280; --page: #ffffff; --card: #f3f4f6; --line: #e5e7eb; --bar: #3b82f6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e5e7eb; --soft: #9ca3af; --page: #111827; --card: #1f2937; --line: #374151; --bar: #60a5fa; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.2rem; font: 16px/1.5 system-ui, sans-serif; }
body { color: var(--ink); background: var(--page); }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .8rem; }
h3 { font-size: 1rem; margin: 1rem 0 .5rem; color: var(--soft); font-weight: 600; }
p, .soft { color: var(--soft); margin: .2rem 0; }
.headline { font-size: 3rem; font-weight: 700; line-height: 1.1; margin: 1rem 0 .2rem; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
.clips { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
figure { margin: 0; padding: .7rem; background: var(--card); border-radius: .6rem; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; }
figure.confusion img { max-width: 44rem; margin: auto; }
figcaption { font-size: .85rem; color: var(--soft); margin-top: .4rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; }
.bar { background: var(--line); border-radius: 3px; min-width: 6rem; height: .7rem; margin-top: .4rem; }
.bar div { background: var(--bar); border-radius: 3px; height: 100%; }
details { background: var(--card); border-radius: .6rem; padding: .7rem; margin: .6rem 0; }
summary { cursor: pointer; font-weight: 600; }
code { font: .85rem ui-monospace, monospace; overflow-wrap: anywhere; }
"""


def write_page(path: pathlib.Path, title: str, body: str, *, css: str = "") -> None:
    """Writes a page, whole or not at all.

    Args:
      path: the file to write.
      title: any text.
      body: HTML, in which all text is escaped by `text`.
      css: rules of this page, beside those of all pages.
    """
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title>
<style>{CSS}{css}</style>
</head>
<body>
{body}
</body>
</html>
"""
    write_atomically(path, page.encode("utf-8", "backslashreplace"))  # JSON may hold halves of characters


def text(value: str) -> str:
    """Text escaped for HTML: nothing in it is markup, and nothing changes the writing direction of the text after it."""
    unsafe = {"Cc", "Cs"}, {"LRO", "RLO", "LRE", "RLE", "PDF", "LRI", "RLI", "FSI", "PDI"}
    shown = (
        c.encode("unicode_escape").decode()
        if (unicodedata.category(c) in unsafe[0] and c not in "\n\t") or unicodedata.bidirectional(c) in unsafe[1]
        else c
        for c in value
    )
    return html.escape("".join(shown))


def figure(uri: str, caption: str, *, alt: str, css: str = "") -> str:
    """A picture with a caption, if that is not empty; `alt` describes it for readers who cannot see it."""
    caption = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return f'<figure class="{css}"><img src="{uri}" alt="{text(alt)}">{caption}</figure>'


def share(value: float | None, digits: int = 2) -> str:
    """A share in 0..1 as per cent; `undefined` for None, a share that the data do not define."""
    return "undefined" if value is None else f"{value:.{digits}%}"
