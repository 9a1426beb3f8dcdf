"""`vivit inspect`: what it says of models, configs and data sets."""

import textwrap

import jax
import numpy as np
import pytest
from PIL import Image

from vivit_jax.analysis import complexity, first_batch
from vivit_jax.analysis.training_memory import activation_bytes, training_bytes
from vivit_jax.config_file import read_config
from vivit_jax.drawing import contact_sheet
from vivit_jax.training.mixing import pixel_weights


@pytest.fixture
def config_file(tmp_path, data_dir):
    path = tmp_path / "toys.py"
    path.write_text(
        textwrap.dedent(f"""
        from vivit_jax.config import base_config

        def get_config(width="16"):
            config = base_config()
            config.model.hidden_size, config.model.num_layers, config.model.num_heads, config.model.mlp_dim = int(width), 1, 2, 32
            config.model.clip, config.model.tubelet, config.model.num_classes = (4, 16, 16), (2, 8, 8), 3
            config.data.name, config.data.data_dir, config.data.resize = "toys", {data_dir!r}, 20
            config.training.batch_size = 4
            return config
        """)
    )
    return path


def test_a_model_directory_is_described(model_dir, vivit):
    code, out, err = vivit("inspect", model_dir)
    assert (code, err) == (0, "")
    assert "transformer/temporal_encoder/blocks/norm_attention " in out  # the longest name, whole even in 80 columns
    assert "crop" in out


def test_a_config_is_described_with_its_argument(config_file, vivit):
    code, out, err = vivit("inspect", f"{config_file}:32")
    assert (code, err) == (0, "")
    experiment = read_config(f"{config_file}:32", {})
    assert experiment.model.hidden_size == 32
    assert f"{complexity.count_parameters(experiment.model):,}" in out
    assert f"{complexity.count_arithmetic(experiment.model).multiply_accumulates / 1e9:.4g} GMAC a view" in out
    assert "optimiser" in out


def test_memory_is_that_of_the_optimiser_and_batch(config_file):
    experiment = read_config(str(config_file), {})
    memory = training_bytes(experiment)
    parameters = 4 * complexity.count_parameters(experiment.model)
    assert memory["parameters"] == memory["gradients"] == parameters
    assert 2 * parameters <= memory["optimiser"] < 2 * parameters + 64  # AdamW's two moments, and its counters
    assert memory["moving average"] == 0
    assert memory["activations of 4 clips"] == activation_bytes(experiment.model, 4)


def test_a_batch_is_drawn_as_the_model_sees_it(config_file, tmp_path, vivit):
    out = tmp_path / "batch.png"
    code, text, err = vivit("inspect", config_file, "--batch", out)
    assert (code, err) == (0, "")
    assert str(out) in text
    assert np.asarray(Image.open(out)).std() > 20


def test_clips_are_drawn_mixed_as_the_first_step_mixes_them_however_few_are_shown(config_file, monkeypatch, tmp_path, vivit):
    drawn = []
    monkeypatch.setattr(first_batch, "contact_sheet", lambda *sheet: drawn.append(zip(*sheet, strict=True)) or Image.new("L", (1, 1)))
    mixing = tmp_path / "mixing.py"
    mixing.write_text(config_file.read_text().replace("return config", "config.training.mixup = 5.0; config.seed = 3; return config"))
    plain_of_seed = [config_file, "--config.seed=3"]
    assert [vivit("inspect", *config, "--batch", tmp_path / "batch.png")[0] for config in (plain_of_seed, [mixing])] == [0, 0]
    monkeypatch.setattr(first_batch, "SHEET_ROWS", 3)  # of a batch of 4: the partners are not all among them
    assert vivit("inspect", mixing, "--batch", tmp_path / "batch.png")[0] == 0
    plain, mixed, first = map(list, drawn)
    share = float(pixel_weights(jax.random.split(jax.random.fold_in(jax.random.key(3), 0))[0], 5.0, 0.0, 1, 1)[0, 0])
    for (clip, own), (partner, other), (both, caption) in zip(plain, plain[::-1], mixed, strict=True):
        assert caption == f"{share:.0%} {own}, {1 - share:.0%} {other}"
        np.testing.assert_allclose(both, share * clip + (1 - share) * partner, atol=0.51)
    for (clip, caption), (shown, own) in zip(mixed[:3], first, strict=True):
        assert caption == own
        np.testing.assert_array_equal(clip, shown)


def test_a_data_set_is_counted_and_drawn(data_dir, tmp_path, vivit):
    out = tmp_path / "toys.png"
    code, text, err = vivit("inspect", "--name", "toys", "--data_dir", data_dir, "--sheet", out)
    assert (code, err) == (0, "")
    assert [line.split() for line in text.splitlines() if line.split()[0] in ("cat", "dog", "owl", "all")] == [
        ["cat", "1", "3"],
        ["dog", "1", "2"],
        ["owl", "1", "2"],
        ["all", "3", "7"],
    ]
    assert "test: 8 s of video, 1.20 s each, 10 frames a second" in text
    assert Image.open(out).height > 3 * 100


def test_the_folder_of_a_data_set_is_told_the_command_that_describes_it(data_dir, vivit):
    code, _, err = vivit("inspect", f"{data_dir}/toys")
    assert (code, err) == (2, f"vivit: {data_dir}/toys is a data set: vivit inspect --name toys --data_dir {data_dir}\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give either"),
        (("nothing.py",), "nothing.py does not exist"),
        (("--name", "nothing"), "nothing"),
        (("nothing.py", "--originals", "videos"), "--originals has no effect without --name, a data set"),
    ],
)
def test_what_is_not_there_is_one_line(arguments, told, tmp_path, vivit):
    code, _, err = vivit("inspect", *arguments, "--data_dir", tmp_path)
    assert code == 2
    assert told in err
    assert err.count("\n") == 1


def test_a_config_with_an_error_is_one_line(tmp_path, vivit):
    path = tmp_path / "broken.py"
    path.write_text("def get_config():\n    return 1 / 0\n")
    code, _, err = vivit("inspect", path)
    assert (code, err) == (2, f"vivit: config {path} cannot be read: ZeroDivisionError: division by zero\n")


def test_a_contact_sheet_shows_each_clip_in_a_row_in_order():
    clips = [np.full((10, 20, 40, 3), value, np.uint8) for value in (50, 150)]
    sheet = np.asarray(contact_sheet(clips, ["a", "longer"]))
    first, second = sheet[10], sheet[10 + 116]
    assert (first == 50).all(-1).sum() == (second == 150).all(-1).sum() == 8 * 112
