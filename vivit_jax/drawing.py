"""Pictures made of frames: contact sheets, heat laid over a video, captions."""

import functools
import pathlib
from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vivit_jax.errors import printable

SHEET_FRAMES = 8
CELL = 112
MARGIN = 4


def contact_sheet(clips: Sequence[np.ndarray], captions: Sequence[str]) -> Image.Image:
    """One row a clip: its caption, and frames evenly spread over it, each scaled to fit a square cell.

    Args:
      clips: each uint8 (t, h, w, 3).
      captions: one for each clip.
    """
    font, captions = _font(14), [_one_line(caption) for caption in captions]
    room = round(max(font.getlength(caption) for caption in captions)) + 2 * MARGIN
    columns = max(min(SHEET_FRAMES, len(clip)) for clip in clips)
    sheet = Image.new("RGB", (room + columns * (CELL + MARGIN), len(clips) * (CELL + MARGIN) + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (clip, caption) in enumerate(zip(clips, captions, strict=True)):
        top = MARGIN + row * (CELL + MARGIN)
        draw.text((MARGIN, top + CELL // 2), caption, fill="black", font=font, anchor="lm")
        shown = np.linspace(0, len(clip) - 1, min(SHEET_FRAMES, len(clip))).round().astype(int)
        for column, frame in enumerate(clip[shown]):
            scale = CELL / max(frame.shape[:2])
            size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
            cell = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
            sheet.paste(Image.fromarray(cell), (room + column * (CELL + MARGIN), top))
    return sheet


def lay_heat(frame: np.ndarray, heat: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    """A frame with heat over it: grey where there is none, through red to yellow where there is most. A line frames the part the model saw.

    Args:
      frame: uint8 (h, w, 3).
      heat: (n_h, n_w) in [0, 1], stretched smoothly over the box.
      box: the part of the frame that the heat covers, as (rows, columns).

    Returns:
      uint8 (h, w, 3).
    """
    rows, columns = box
    size = (columns.stop - columns.start, rows.stop - rows.start)
    stretched = np.clip(cv2.resize(heat.astype(np.float32), size, interpolation=cv2.INTER_CUBIC), 0, 1)
    grey = np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2).astype(np.float32)
    colour = matplotlib.colormaps["autumn"](stretched)[..., :3] * 255
    opacity = 0.75 * stretched[..., None]
    grey[box] = (1 - opacity) * grey[box] + opacity * colour
    result = grey.round().astype(np.uint8)
    if size != (frame.shape[1], frame.shape[0]):
        cv2.rectangle(result, (columns.start, rows.start), (columns.stop - 1, rows.stop - 1), (160, 160, 160), 1)
    return result


def captioned(frame: np.ndarray, text: str, *, full_colour: float | None = None) -> np.ndarray:
    """A uint8 frame (h, w, 3) under a dark strip with a line of text, which is cut off if it is too long.

    Args:
      frame: what to show.
      text: the caption.
      full_colour: what heat of full colour stands for; a scale of the colours, with numbers, is then at the right if there is room.
    """
    height = max(16, round(0.08 * frame.shape[0])) // 2 * 2
    font = _font(round(0.7 * height))
    picture = Image.new("RGB", (frame.shape[1], height + frame.shape[0]), "black")
    draw = ImageDraw.Draw(picture)
    draw.text((height // 4, height // 2), _one_line(text), fill="white", font=font, anchor="lm")
    if full_colour is not None:
        _draw_scale(picture, draw, height, font, height // 4 + font.getlength(_one_line(text)), full_colour)
    picture.paste(Image.fromarray(frame), (0, height))
    return np.asarray(picture)


def _draw_scale(
    picture: Image.Image, draw: ImageDraw.ImageDraw, height: int, font: ImageFont.FreeTypeFont, taken: float, full_colour: float
) -> None:
    """Draws the colours of heat from none to full, between `0` and the number that full stands for; nothing where there is no room."""
    number = f"{full_colour:.2g}" if np.isfinite(full_colour) else "no evidence"
    length = 5 * height if np.isfinite(full_colour) else 0
    right = picture.width - height // 4 - font.getlength(number)
    left = right - length - height // 2
    zero = font.getlength("0") + height // 4 if length else 0
    if left - zero < taken + height // 2:
        return
    draw.text((right, height // 2), number, fill="white", font=font, anchor="lm")
    if length:
        draw.text((left - zero, height // 2), "0", fill="white", font=font, anchor="lm")
        grey = np.full((height // 2, length, 3), 128, np.uint8)
        bar = lay_heat(grey, np.linspace(0, 1, length)[None], (slice(0, height // 2), slice(0, length)))
        picture.paste(Image.fromarray(bar), (round(left), height // 4))


def _one_line(text: str) -> str:
    return " ".join(printable(text).split("\n"))


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The DejaVu Sans that comes with matplotlib, which has the letters of most scripts."""
    return ImageFont.truetype(str(pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
