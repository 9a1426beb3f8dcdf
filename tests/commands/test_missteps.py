"""What a newcomer is told at the first missteps, each with what to do."""

import pathlib
import shutil

import pytest

from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import check_splits, open_dataset
from vivit_jax.errors import UserError


def test_split_names_the_classes_that_it_left_without_a_clip(vivit, videos, tmp_path):
    for path in videos:
        (tmp_path / "clips/often").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "clips/often")
    (tmp_path / "clips/once").mkdir()
    (tmp_path / "clips/once/a.mp4").write_bytes(pathlib.Path(videos[0]).read_bytes() + b"\0" * 16)
    code, out, _ = vivit("prepare", "folder", tmp_path / "clips", "--name", "x", "--data_dir", tmp_path, "--split", "50,50")
    assert code == 0
    assert "warning: test has no clip of once: give it a larger share by --split, or more clips of the class" in out
    assert "warning: train" not in out
    assert "1 video, " not in out and "4 videos, " in out


def test_inspecting_a_folder_of_videos_points_to_prepare(vivit, tmp_path):
    code, _, err = vivit("inspect", tmp_path)
    assert code == 2
    assert "is neither a run, nor a model directory, nor a prepared data set; `vivit prepare` makes a data set of a folder" in err


def test_a_data_set_that_is_not_there_points_to_data_dir(vivit, data_dir):
    code, _, err = vivit("inspect", "--name", "toy", "--data_dir", data_dir)
    assert code == 2
    assert "there are several, tools, toys, toys_in_another_order; make one with `vivit prepare`, or give its --data_dir" in err


def test_top5_of_three_classes_is_not_printed(vivit, model_dir, data_dir, tmp_path):
    code, out, _ = vivit(
        "evaluate", "--model", model_dir, "--name", "toys", "--data_dir", data_dir, "--views", "1x1", "--out", tmp_path / "s.json"
    )
    assert code == 0
    assert "top1 " in out and ", top5" not in out and '"top5"' in (tmp_path / "s.json").read_text()


def test_training_on_val_without_one_says_how_to_do_without(data_dir):
    dataset = open_dataset("toys", data_dir)
    present = next(iter(dataset.splits))
    lacking = next(split for split in ("val", "test", "train") if split not in dataset.splits)
    with pytest.raises(UserError, match=rf"has no split {lacking}.*: give --config.data.train_split={present}"):
        check_splits(dataset, DataConfig(train_split=f"{present}+{lacking}"))
