"""Small sets of real videos that a list names."""

from collections.abc import Sequence
from pathlib import Path

import films


def with_segments(root: Path, splits: Sequence[str], shape: tuple[int, int, int], *, long: tuple[int, int, int], split: str) -> Path:
    """A list of whole videos, of segments of a long one, and of a file that cannot be read.

    Args:
      root: the folder of the videos and the list.
      splits: of each whole video; their classes are a and b in turn.
      shape: (t, h, w) of a whole video.
      long: (t, h, w) of the long one, of which three seconds are listed.
      split: of its segments.
    """
    rows = ["path,label,split,start,end"]
    for number, of_video in enumerate(splits):
        films.write(root / f"{number}.mp4", films.scene(*shape, number))
        rows.append(f"{number}.mp4,{'ab'[number % 2]},{of_video},,")
    films.write(root / "long.mp4", films.scene(*long, 99))
    rows += [f"long.mp4,b,{split},{start},{start + 1}" for start in range(3)]
    (root / "broken.mp4").write_bytes(b"no video")
    (root / "list.csv").write_text("\n".join([*rows, "broken.mp4,a,train,,", ""]))
    return root / "list.csv"
