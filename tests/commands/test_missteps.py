"""What a newcomer is told at the first missteps, each with what to do."""

import pathlib
import re
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


def test_a_data_set_given_as_the_folder_of_data_sets_is_told(vivit, data_dir):
    code, _, err = vivit("inspect", "--name", "toys", "--data_dir", f"{data_dir}/toys")
    assert code == 2
    assert f"which is a data set itself: the folder of data sets is {data_dir}" in err


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


WHAT_IT_IS = {
    "model": "it is a model directory, which --model takes",
    "run": "it is the work directory of a run: its model is {run}/model",
    "data": "it is a prepared data set: --name toys --data_dir {data_dir}",
    "models": "it holds the model directory small and the prepared data set toys",
    "csv": "it is a file",
    "nothing": "does not exist",
}


@pytest.mark.parametrize(
    ("command", "given"),
    [
        (("evaluate", "--workdir"), ("model", "data", "models", "csv", "nothing")),
        (("predict", "x.mp4", "--model"), ("data", "models")),
        (("convert", "--to", "x"), ("data", "models")),
        (("export", "--to", "onnx", "x.onnx", "--model"), ("run", "data")),
        (("inspect",), ("models",)),
        (("soup", "--uniform", "--to", "x"), ("data", "models", "csv", "nothing")),
    ],
)
def test_what_is_given_in_place_of_another_thing_is_named(vivit, model_dir, workdir, data_dir, tmp_path, command, given):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "small").symlink_to(model_dir)
    (folder / "toys").symlink_to(f"{data_dir}/toys")
    (tmp_path / "list.csv").write_text("path,label\n")
    paths = {
        "model": model_dir,
        "run": workdir,
        "data": f"{data_dir}/toys",
        "models": folder,
        "csv": tmp_path / "list.csv",
        "nothing": tmp_path / "no",
    }
    for name in given:
        code, out, err = vivit(*command, paths[name])
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert WHAT_IT_IS[name].format(run=workdir, data_dir=data_dir) in err


def test_a_folder_of_weights_under_another_name_points_to_the_file(vivit, tmp_path):
    (tmp_path / "vit_b16.npz").write_bytes(b"")
    code, _, err = vivit("convert", tmp_path, "--to", tmp_path / "x")
    assert (code, err) == (2, f"vivit: {tmp_path} holds no weights: name a file in it, such as {tmp_path}/vit_b16.npz\n")


def test_a_key_given_as_an_option_is_told(vivit, tmp_path):
    for option, meant in (
        ("--epochs=3", "--config.training.epochs?"),
        ("--batch_size", "--config.training.batch_size or --config.evaluation."),
    ):
        code, _, err = vivit("train", "--config=configs/small_data.py", f"--workdir={tmp_path}/x", option)
        assert (code, f"did you mean {meant}" in err) == (2, True)


@pytest.mark.parametrize("kind", ["model", "data"])
def test_no_run_begins_in_a_model_directory_or_a_data_set(vivit, model_dir, data_dir, kind):
    folder = pathlib.Path(model_dir if kind == "model" else f"{data_dir}/toys")
    before = sorted(folder.iterdir())
    code, _, err = vivit("train", "--config=configs/motion_digits.py", f"--workdir={folder}", "--config.data.name=toys")
    assert code == 2
    assert "cannot hold a run: it is " in err and "give a new folder" in err
    assert sorted(folder.iterdir()) == before


def test_a_config_that_is_no_python_file_is_one_line(vivit, workdir, videos, tmp_path):
    for path, told in (
        (workdir / "config.json", "is not a .py file; a run's config.json records its config"),
        (videos[0], "is not a .py file"),
        (workdir, "is a folder, not a .py file: it is the work directory of a run"),
        ("configs/smal_data.py", "does not exist (looked for in .*); there is configs/small_data.py"),
        ("small_data.py", "does not exist (looked for in .*); there is configs/small_data.py"),
        ("elsewhere/other.py", "the recipes are in configs/ of a clone of the repository"),
    ):
        commands = [("train", f"--config={path}", f"--workdir={tmp_path}/x"), ("bench", f"--config={path}", "--mode", "data")]
        for command in commands + ([] if path == workdir else [("inspect", path)]):
            code, out, err = vivit(*command)
            assert (code, out, err.count("\n")) == (2, "", 1)
            assert re.search(told.replace(".py", r"\.py").replace("(", r"\(").replace(")", r"\)"), err)


def test_a_name_in_another_case_is_suggested(vivit, model_dir, videos, tmp_path):
    code, _, err = vivit("explain", "--model", model_dir, videos[0], "--out", tmp_path / "o.mp4", "--label", "CAT")
    assert (code, "unknown --label 'CAT': did you mean 'cat'?" in err) == (2, True)


def test_a_model_that_is_replaced_is_told_before(vivit, model_dir, tmp_path):
    arguments = ("convert", model_dir, "--to", tmp_path / "model", "--head", "fresh")
    code, out, _ = vivit(*arguments)
    assert (code, "will replace" in out) == (0, False)
    code, out, _ = vivit(*arguments)
    assert code == 0
    assert out.startswith(f"warning: {tmp_path}/model holds a model, which the new one will replace\n")


def test_a_picture_of_another_kind_is_refused_before_the_work(vivit, data_dir):
    code, out, err = vivit("inspect", "--name", "toys", "--data_dir", data_dir, "--sheet", "clips.tiff")
    assert (code, out, err) == (2, "", "vivit: a picture must be a .png, .jpg or .webp file, got clips.tiff\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("folder", "--fps", "25fps"), "argument --fps: must be a number, got '25fps'"),
        (("folder", "--tolerate", "nan"), "argument --tolerate: must be a number, got 'nan'"),
        (("folder", "--tolerate", "-1"), "--tolerate must be a number of videos, or a share of all below 1, got -1"),
        (("folder", "--workers", "0"), "argument --workers: must be a whole number of at least 1, got '0'"),
        (("folder", "--short_side", "255"), "--short_side must be an even number of pixels, got 255"),
        ((), "the layout comes before the source: vivit prepare folder {clips} (known: "),
    ],
)
def test_what_prepare_cannot_take_is_named_alone(vivit, tmp_path, arguments, told):
    (tmp_path / "clips").mkdir()
    layout, options = arguments[:1], arguments[1:]
    code, out, err = vivit("prepare", *layout, tmp_path / "clips", "--name", "x", "--data_dir", tmp_path / "data", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told.format(clips=tmp_path / "clips") in err


def test_folders_of_another_layout_are_pointed_to_it(vivit, videos, tmp_path):
    (tmp_path / "images/run/video").mkdir(parents=True)
    (tmp_path / "images/run/video/1.jpg").touch()
    (tmp_path / "clips/run").mkdir(parents=True)
    shutil.copy(videos[0], tmp_path / "clips/run")
    for layout, folder, told in (
        ("folder", "images", "the class is empty; expected videos .*; layout frames reads folders of image files"),
        ("frames", "clips", "the class is empty; expected a folder of image files for each video; layout folder reads video files"),
    ):
        options = ("--fps", "25") if layout == "frames" else ()
        code, _, err = vivit(
            "prepare", layout, tmp_path / folder, "--name", "x", "--data_dir", tmp_path / "data", "--split", "50,50", *options
        )
        assert code == 2
        assert re.search(told, err)
    shutil.copytree(tmp_path / "clips", tmp_path / "no_classes/train", dirs_exist_ok=True)
    shutil.move(tmp_path / "no_classes/train/run/one.mp4", tmp_path / "no_classes/train")
    (tmp_path / "no_classes/train/run").rmdir()
    code, _, err = vivit("prepare", "folder", tmp_path / "no_classes", "--name", "x", "--data_dir", tmp_path / "data")
    assert (code, "train: 1 video in no folder; expected a folder for each class" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("train", "configs/motion_digits.py:3"), "did you mean --config=configs/motion_digits.py:3?"),
        (("train", "config=configs/motion_digits.py"), "did you mean --config=configs/motion_digits.py?"),
        (("train", "workdir", "x"), "did you mean --workdir?"),
        (("inspect", "--keys", "learnig_rate"), "did you mean optimizer.learning_rate?"),
        (("inspect", "--keys", "optimizer.learnig_rate"), "did you mean optimizer.learning_rate?"),
    ],
)
def test_what_is_misspelt_or_lacks_its_dashes_is_suggested(vivit, arguments, told):
    code, out, err = vivit(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err


def test_help_may_be_asked_for_as_a_command(vivit):
    assert vivit("help") == vivit("--help")
    assert vivit("help", "predict") == vivit("predict", "--help")
    assert vivit("help", "nothing")[0] == 2
