"""Sets of real videos laid out as their publishers hand them out: a fixture for `conftest.py`, and what tests do with it."""

import json
import os

import films
import pytest

from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.errors import UserError

CODECS = {".avi": ("mpeg4", "yuv420p"), ".webm": ("libvpx-vp9", "yuv420p")}
UCF = {
    "ucfTrainTestlist/classInd.txt": "1 ApplyEyeMakeup\n2 ApplyLipstick\n",
    "ucfTrainTestlist/trainlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\nApplyLipstick/v_ApplyLipstick_g08_c01.avi 2\n",
    "ucfTrainTestlist/testlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\nApplyLipstick/v_ApplyLipstick_g01_c01.avi\n",
    "ucfTrainTestlist/trainlist02.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1\nApplyLipstick/v_ApplyLipstick_g01_c01.avi 2\n",
    "ucfTrainTestlist/testlist02.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi\n",
}
UCF_VIDEOS = [f"UCF-101/{name}/v_{name}_{group}_c01.avi" for name in ("ApplyEyeMakeup", "ApplyLipstick") for group in ("g01", "g08")]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Puts a video of its own at a path, in the container and codec of its suffix; each is encoded once."""
    folder = tmp_path_factory.mktemp("films")

    def put(path, seed):
        suffix = path.suffix.lower()
        made = folder / f"{seed}{suffix}"
        if not made.exists():
            codec, pixels = CODECS.get(suffix, ("libx264", "yuv420p"))
            films.write(made, films.scene(8, 32, 48, seed), codec=codec, pixels=pixels)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(made, path)

    return put


def lay(root, film, videos, **texts):
    """Videos below `root`, and lists by name."""
    for seed, name in enumerate(videos):
        film(root / name, seed)
    for name, text in texts.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    return root


def told(found):
    return {(clip.split, clip.name, clip.label) for clip in found.clips}


def remark(found, *words):
    return any(all(word in line for word in words) for line in found.remarks)


def refused(layout, source, message, **reading):
    with pytest.raises(UserError, match=message) as error:
        read_layout(layout, source, Reading(**reading))
    assert "\n" not in str(error.value)
