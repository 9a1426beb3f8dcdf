"""The README's animation is small, and its script draws what it says."""

import importlib.util
import pathlib

import pytest
from PIL import Image
from toys import CONFIG, LABELS, PREPROCESS, random_variables, random_video

from vivit_jax.weights import save_pretrained

DOCS = pathlib.Path(__file__).parents[2] / "docs"


def test_the_animation_of_the_readme_is_small():
    path = DOCS / "images" / "explained.webp"
    assert path.stat().st_size < 1_000_000
    assert Image.open(path).n_frames > 20


@pytest.mark.slow
def test_a_column_is_drawn_for_each_clip(tmp_path):
    spec = importlib.util.spec_from_file_location("draw_explained", DOCS / "draw_explained.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    model = save_pretrained(tmp_path / "model", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS)
    clips = [tmp_path / f"{seed}.mp4" for seed in range(2)]
    for seed, clip in enumerate(clips):
        clip.write_bytes(random_video(seed, frames=24))
    script.main(str(model), str(tmp_path / "out" / "drawn.webp"), *map(str, clips))
    with Image.open(tmp_path / "out" / "drawn.webp") as drawn:
        assert drawn.n_frames > 1
        assert drawn.width == script.GAP + 2 * (script.SIDE + script.GAP)
