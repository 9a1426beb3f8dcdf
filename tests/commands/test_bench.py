"""`vivit bench`: it times the steps that training and evaluation run, and counts their work right."""

import dataclasses
import json
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
from toys import CONFIG

from vivit_jax.analysis import ceiling, throughput
from vivit_jax.analysis.ceiling import Ceiling
from vivit_jax.analysis.queued import time_queued
from vivit_jax.analysis.random_input import random_batch, random_variables
from vivit_jax.analysis.throughput import Subject, Timing
from vivit_jax.data.config import AugmentConfig
from vivit_jax.errors import UserError
from vivit_jax.training import setup
from vivit_jax.training import step as steps
from vivit_jax.training.config import OptimizerConfig, ParallelConfig, TrainingConfig

MODEL = dataclasses.replace(CONFIG, factorisation="spatio_temporal_attention")
ONE_DEVICE = ParallelConfig(data=1)


def subject(**fields):
    return Subject(MODEL, TrainingConfig(batch_size=8), **({"parallel": ONE_DEVICE} | fields))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(ceiling, "PRODUCTS", 1)
    monkeypatch.setattr(ceiling, "WARM_UP_CALLS", 2)
    monkeypatch.setattr(throughput, "WARM_UP_STEPS", 2)


@pytest.fixture
def config_file(tmp_path, data_dir):
    path = tmp_path / "toys.py"
    path.write_text(
        textwrap.dedent(f"""
        from vivit_jax.config import base_config

        def get_config():
            config = base_config()
            config.model.hidden_size, config.model.num_layers, config.model.num_heads, config.model.mlp_dim = 16, 1, 2, 32
            config.model.clip, config.model.tubelet = (4, 16, 16), (2, 8, 8)
            config.data.name, config.data.data_dir, config.data.resize = "toys", {data_dir!r}, 20
            config.training.batch_size = 4
            config.parallel.data = 1
            return config
        """)
    )
    return path


def multiply_accumulates_of_model(mode, tokens=9):
    """By hand, of one clip through `MODEL`: 8 tubelets and a cls token, of width 16. In its only block the cls token alone asks.

    `tokens` is how many the block sees: training may leave some out. Its backward pass has two products for each of the forward pass, but
    for the tokenizer's, as nobody needs a gradient of the video.
    """
    width, hidden, pixels = 16, 32, 2 * 8 * 8 * 3
    tokenizer = 8 * pixels * width
    block = tokens * 2 * width**2 + 2 * width**2 + 2 * width * hidden + 2 * tokens * width
    above = block + width * 3
    return {"infer": tokenizer + above, "train": 2 * tokenizer + 3 * above}[mode]


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_the_step_that_runs_is_timed_and_its_work_is_that_counted_by_hand(mode, monkeypatch):
    name, home = {"train": ("make_train_step", setup), "infer": ("make_eval_step", throughput)}[mode]
    real, made = getattr(steps, name), []
    monkeypatch.setattr(home, name, lambda *arguments, **options: made.append(name) or real(*arguments, **options))
    timing = throughput.measure(mode, subject(optimizer=OptimizerConfig(weight_decay=0.1)), steps=3)
    assert timing.tflop == pytest.approx(2e-12 * 8 * multiply_accumulates_of_model(mode))
    assert made == [name]
    assert timing.devices == 1
    assert len(timing.seconds) == 3
    assert min(timing.seconds) > 0
    assert timing.compile_seconds > 0
    parameters = 4 * sum(leaf.size for leaf in jax.tree.leaves(random_variables(MODEL)))
    held = {"infer": 1, "train": 3}[mode] * parameters + 8 * 4 * 16 * 16 * 3  # with AdamW's moments, and the batch
    assert held < timing.program_bytes < held + 2_000_000


def test_the_work_of_a_step_leaves_out_the_patches_it_drops_and_counts_both_passes_of_sharpness_aware_steps():
    half = dataclasses.replace(MODEL, patch_dropout=0.5)  # of 8 patches 5 stay, which with the cls token is even
    training = TrainingConfig(batch_size=8, accumulation=2)
    timing = throughput.measure("train", Subject(half, training, optimizer=OptimizerConfig(sam_rho=0.1), parallel=ONE_DEVICE), steps=1)
    assert timing.tflop == pytest.approx(2e-12 * 2 * 8 * multiply_accumulates_of_model("train", tokens=6))


def test_the_work_of_a_step_that_trains_the_head_alone_is_little_more_than_a_forward_pass():
    frozen = OptimizerConfig(multipliers=(("^(tokenizer|transformer)", 0.0),))
    timing = throughput.measure("train", subject(optimizer=frozen), steps=1)
    assert timing.tflop == pytest.approx(2e-12 * 8 * (multiply_accumulates_of_model("infer") + 16 * 3))


def test_figures_follow_from_the_median():
    timing = Timing("train", 8, (4, 16, 16), 2, (0.5, 0.1, 0.2), 1.0, 3.0, None, None)
    row = timing.to_row(Ceiling(64, "float32", 30.0))
    assert (row["clips_per_second"], row["milliseconds"], row["tflops"]) == (pytest.approx(40), pytest.approx(200), pytest.approx(15))
    assert row["share_of_ceiling"] == pytest.approx(15 / (2 * 30))


def test_every_call_is_timed_from_the_result_before_it():
    calls = iter(range(100))
    seconds, last = time_queued(lambda: jax.numpy.asarray(next(calls)), 5, warm_up=3)
    assert len(seconds) == 5
    assert int(last) == next(calls) - 1 == 3 + 5 - 1


def test_pmap_is_timed_on_all_its_devices():
    assert throughput.measure("infer", subject(parallel=ParallelConfig(mode="pmap", data=2)), steps=2).devices == 2


def test_nothing_that_is_timed_is_zero():
    assert all(np.count_nonzero(leaf) == leaf.size for leaf in jax.tree.leaves(random_variables(MODEL)))
    batch = random_batch(MODEL, 8, AugmentConfig(colour_jitter=1.0))
    assert batch["video"].dtype == np.uint8
    assert batch["video"].std() > 60
    assert set(batch["label"]) <= {0, 1, 2}
    assert batch["colours"].all()


def test_numbers_that_are_not_finite_are_not_timed():
    variables = jax.tree.map(lambda leaf: leaf * np.float32(np.nan), random_variables(MODEL))
    with pytest.raises(UserError, match="not finite"):
        throughput.measure("infer", subject(variables=variables), steps=1)


@pytest.mark.slow
def test_steps_are_timed_where_no_library_of_data_or_config_files_is():
    program = """
        import sys
        for name in ("ml_collections", "grain", "tensorflow_datasets", "array_record", "av", "cv2", "tensorboardX"):
            sys.modules[name] = None
        from vivit_jax.analysis import throughput
        from vivit_jax.analysis.ceiling import matrix_ceiling
        import vivit_jax.commands.bench
        from vivit_jax.models.vivit.config import ViViTConfig
        from vivit_jax.training.config import TrainingConfig

        model = ViViTConfig(hidden_size=8, num_layers=1, num_heads=2, mlp_dim=8, clip=(2, 8, 8), tubelet=(2, 8, 8), num_classes=2)
        timing = throughput.measure("infer", throughput.Subject(model, TrainingConfig(batch_size=8)), steps=1)
        timing.to_row(matrix_ceiling())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_sweep_prints_and_writes_a_row_for_each_value(config_file, tmp_path, vivit):
    file = tmp_path / "bench.json"
    code, out, err = vivit(
        "bench",
        "--config",
        config_file,
        "--mode",
        "infer",
        "--sweep",
        "clip=4,8",
        "--steps",
        2,
        "--json",
        file,
        "--config.model.dtype=bfloat16",
    )
    assert (code, err) == (0, "")
    assert "4x16x16" in out
    assert "1024^3 float32 product" in out
    report = json.loads(file.read_text())
    assert [row["clip"] for row in report["rows"]] == [[4, 16, 16], [8, 16, 16]]
    assert report["environment"]["versions"]["jax"] == jax.__version__
    assert report["ceiling"]["tflops"] > 0


def test_a_model_directory_is_timed(model_dir, vivit):
    code, out, err = vivit("bench", "--model", model_dir, "--mode", "infer", "--batch_size", 8, "--steps", 2)
    assert (code, err) == (0, "")
    assert "4x16x16" in out


def test_reading_counts_clips_and_cpu_seconds(config_file, tmp_path, vivit):
    file = tmp_path / "bench.json"
    code, out, err = vivit("bench", "--config", config_file, "--mode", "data", "--steps", 3, "--json", file, "--config.data.readers", 2)
    assert (code, err) == (0, "")
    assert "CPU-second" in out
    (row,) = json.loads(file.read_text())["rows"]
    assert (row["data"], row["batch_size"], row["readers"]) == ("toys", 4, 2)
    assert row["clips_per_second"] == pytest.approx(4 / (row["milliseconds"] / 1e3))
    assert row["clips_per_cpu_second"] == pytest.approx(row["clips_per_second"] / row["cpus_busy"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mode", "train"), "give either --config or --model"),
        (("--config", "CONFIG", "--mode", "train", "--batch_size", "3", "--config.parallel.data=2"), "cannot be divided over 2 devices"),
        (("--config", "CONFIG", "--mode", "train", "--sweep", "clips=8"), "unknown key of a sweep 'clips': did you mean 'clip'?"),
        (
            ("--config", "CONFIG", "--mode", "train", "--config.model.dtyp=bfloat16"),
            "unknown key in --config.model 'dtyp': did you mean 'dtype'?",
        ),
        (("--config", "CONFIG", "--mode", "train", "--config.model.num_layers=many"), "--config.model.num_layers=many"),
        (("--config", "CONFIG", "--mode", "data", "--sweep", "clip=8"), "sweeps batch_size only"),
        (("--model", "MODEL", "--mode", "data"), "give --config instead"),
        (("--model", "MODEL", "--mode", "infer", "--sweep", "clip=8"), "sweep clip with --config"),
    ],
)
def test_options_that_cannot_work_are_one_line(options, message, config_file, model_dir, vivit):
    code, _, err = vivit("bench", *({"CONFIG": config_file, "MODEL": model_dir}.get(option, option) for option in options))
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
