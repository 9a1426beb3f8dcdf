"""The picture of the augmentations shows every one of them, and each changes the clip in all of its frames."""

import dataclasses
import importlib.util
import pathlib

import numpy as np
from PIL import Image

from vivit_jax.data.augment.randaugment import GEOMETRIC, PHOTOMETRIC
from vivit_jax.data.config import AugmentConfig

SCRIPT = pathlib.Path(__file__).parents[2] / "docs" / "draw_augmentations.py"


def test_every_augmentation_has_a_row_that_differs(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("draw_augmentations", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rows, draw = {}, script.contact_sheet
    monkeypatch.setattr(script, "contact_sheet", lambda clips, names: rows.update(zip(names, clips, strict=True)) or draw(clips, names))
    script.main(str(tmp_path / "picture.png"))
    assert Image.open(tmp_path / "picture.png").width > 1000

    shown = set().union(*script.ALONE.values())
    assert shown | {"randaugment_layers", "repeats"} == {field.name for field in dataclasses.fields(AugmentConfig)}
    assert {f"randaugment: {name}" for name in PHOTOMETRIC | GEOMETRIC} < set(rows)
    plain = rows.pop("none").astype(int)
    np.testing.assert_array_equal(rows.pop("randaugment: identity"), plain)
    for name, clip in rows.items():
        assert (np.abs(clip - plain).mean(axis=(1, 2, 3)) > 0.2).all(), name
