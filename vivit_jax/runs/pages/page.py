"""The frame of a page, and the escaping of whatever is put into it."""

import base64
import hashlib
import html
import pathlib
import unicodedata

STATIC = pathlib.Path(__file__).parent / "static"
NO_SCRIPT = "'none'"
CONTROLS = {"Cc", "Cs"}
DIRECTIONS = {"LRO", "RLO", "LRE", "RLE", "PDF", "LRI", "RLI", "FSI", "PDI"}


def page_of(title: str, body: str, *, styles: tuple[str, ...] = (), scripts: tuple[str, ...] = ()) -> bytes:
    """A page, as a file holds it.

    The page's own policy forbids the browser to load anything, and to run any script but these.

    Args:
      title: any text.
      body: HTML, in which all text is escaped by `text`.
      styles: names of files in `static/` with rules of this page, beside those of all pages.
      scripts: names of files in `static/` that the page runs at its end.
    """
    sources = [(STATIC / name).read_text(encoding="utf-8") for name in scripts]
    allowed = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'" for source in sources)
    policy = f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src {allowed or NO_SCRIPT}"
    rules = "".join((STATIC / name).read_text(encoding="utf-8") for name in ("page.css", *styles))
    run = "".join(f"<script>{source}</script>" for source in sources)
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{text(title)}</title>
<style>{rules}</style>
</head>
<body>
{body}
{run}
</body>
</html>
"""
    return page.encode("utf-8", "backslashreplace")  # JSON may hold halves of characters


def text(value: str) -> str:
    """Text escaped for HTML: nothing in it is markup, and nothing changes the writing direction of the text after it."""
    return html.escape(visible(value))


def visible(value: str) -> str:
    """Text in which control characters, halves of characters and changes of the writing direction are spelt out."""
    return "".join(c.encode("unicode_escape").decode() if _unseen(c) else c for c in value)


def cut(value: str, letters: int) -> str:
    """Text of at most so many letters, with a word on what is left out."""
    return value if len(value) <= letters else f"{value[:letters]}… ({len(value):,} letters)"


def short(value: str, letters: int) -> str:
    """Text of at most so many letters, where the whole of it stands elsewhere on the page."""
    return value if len(value) <= letters else f"{value[: letters - 1]}…"


def figure(uri: str, caption: str, *, alt: str, css: str = "") -> str:
    """A picture with a caption, if that is not empty; `alt` describes it for readers who cannot see it."""
    caption = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return f'<figure class="{css}"><img src="{uri}" alt="{text(alt)}">{caption}</figure>'


def share(value: float | None, digits: int = 2) -> str:
    """A share in 0..1 as per cent; `undefined` for None, a share that the data do not define."""
    return "undefined" if value is None else f"{value:.{digits}%}"


def _unseen(c: str) -> bool:
    return (unicodedata.category(c) in CONTROLS and c not in "\n\t") or unicodedata.bidirectional(c) in DIRECTIONS
