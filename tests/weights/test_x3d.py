"""X3D against pytorchvideo's on random weights and running statistics: the same logits, costs and steps, both ways through files."""

import dataclasses
import importlib
import json

import jax
import numpy as np
import optax
import pytest
import resnets
import x3d_in_torch
from closeness import relative_error
from resnets import torch

import vivit_jax
from vivit_jax import cli
from vivit_jax.errors import UserError
from vivit_jax.models.convolutional.computation import Computation
from vivit_jax.models.families import build, make_config
from vivit_jax.preprocess import Preprocess
from vivit_jax.training.config import LossConfig, OptimizerConfig, ParallelConfig, TrainingConfig
from vivit_jax.training.devices.executors import make_executor
from vivit_jax.training.optimizer import make_optimizer
from vivit_jax.training.state import create_state
from vivit_jax.training.step import make_train_step
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.convert import convert
from vivit_jax.weights.initialise import initialise
from vivit_jax.weights.layers import flatten_variables

CLIP, CLASSES = (3, 48, 40), 7
RATE, MOMENTUM, STEPS = 0.002, 0.9, 3


@pytest.fixture(scope="module")
def theirs():
    """An X3D-S of seven classes, randomised."""
    return resnets.randomise(x3d_in_torch.X3D(CLASSES))


def test_the_twin_is_pytorchvideos(theirs):
    pytest.importorskip("pytorchvideo", reason="pip install pytorchvideo, whose network the twin is")
    create = importlib.import_module("pytorchvideo.models.x3d").create_x3d
    model = create(input_clip_length=3, input_crop_size=64, model_num_class=CLASSES, head_activation=None)
    model.load_state_dict(theirs.state_dict(), strict=True)
    video = torch.randn(1, 3, 3, 64, 64)
    with torch.no_grad():
        assert relative_error(model.eval()(video), theirs(video).numpy()) < 1e-5


@pytest.mark.parametrize("way", ["shifts", pytest.param("3d", marks=pytest.mark.slow), pytest.param("rearranged", marks=pytest.mark.slow)])
def test_logits_are_theirs(tmp_path, theirs, monkeypatch, way):
    path = resnets.write(theirs, tmp_path / "weights.safetensors")
    ours, video = resnets.clips((2, *CLIP))
    pretrained = convert(path, {"clip": CLIP}, InitConfig()).pretrained
    config = pretrained.model.config
    assert (config.architecture, config.num_classes, config.width) == ("x3d_s", CLASSES, 24)
    if way == "rearranged":
        monkeypatch.setattr("vivit_jax.models.x3d.model.IN_2D", Computation(True, True, True, True, True))
    model = build(dataclasses.replace(config, convolutions="3d" if way == "3d" else "shifts"))
    bound = 5e-5 if way == "rearranged" else 1e-5  # 26 blocks whose kernels are multiplied by factors round otherwise
    with torch.no_grad():
        assert relative_error(jax.jit(model.apply)(pretrained.variables, ours), theirs(video).numpy()) < bound


def test_weights_go_to_a_directory_and_back_by_the_commands(tmp_path, capsys, theirs):
    torch.save({"model_state": theirs.state_dict(), "epoch": 1}, tmp_path / "X3D_M.pyth")
    arguments = ["convert", str(tmp_path / "X3D_M.pyth"), "--to", str(tmp_path / "ours"), "--architecture", "x3d_m"]
    assert cli.main(arguments) == 0
    told = capsys.readouterr().out
    assert "num_batches_tracked (83)" in told
    assert "X3D-M" in told
    sampling = json.loads((tmp_path / "ours" / "preprocess.json").read_text())
    assert [sampling[key] for key in ("frames", "stride", "resize", "crop")] == [16, 5, 256, [224, 224]]
    assert (sampling["mean"], sampling["std"]) == ([0.45] * 3, [0.225] * 3)
    assert vivit_jax.from_pretrained(tmp_path / "ours").labels[:2] == ("LABEL_0", "LABEL_1")
    for back, load in ((tmp_path / "back.pth", torch.load), (tmp_path / "back.safetensors", resnets.load_file)):
        assert cli.main(["export", "--model", str(tmp_path / "ours"), "--to", "pytorchvideo", str(back)]) == 0
        fresh = x3d_in_torch.X3D(CLASSES)
        fresh.load_state_dict(load(back), strict=True)
        for name, tensor in theirs.state_dict().items():
            assert name.endswith("num_batches_tracked") or torch.equal(tensor, fresh.state_dict()[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("parallel", [{"data": 1}, {"mode": "pmap", "data": 2}], ids=["one-device", "pmap"])
def test_steps_of_descent_are_torchs(tmp_path, parallel):
    model = resnets.randomise(x3d_in_torch.X3D(CLASSES, divisor=3, depths=(2, 1, 2, 1)))
    for module in model.modules():  # few values near zero, where rounding decides over a ReLU and a step over the next
        if isinstance(module, torch.nn.BatchNorm3d):
            module.bias.data += 3
    generator = np.random.default_rng(0)
    config = make_config("x3d", {"width": 8, "clip": CLIP, "num_classes": CLASSES, "dropout": 0.0})
    with pytest.MonkeyPatch.context() as patch:
        for module in ("vivit_jax.weights.x3d.source", "vivit_jax.models.x3d.config"):
            patch.setattr(f"{module}.ARCHITECTURES", {**{"x3d_s": (2, 1, 2, 1)}, (2, 1, 2, 1): ("x3d_s",)})

        def as_ours():
            path = resnets.write(model, tmp_path / "weights.safetensors")
            return initialise(config, InitConfig(source=str(path), head="keep"), 0).variables

        before = as_ours()
        optimizer = make_optimizer(
            OptimizerConfig(name="sgd", learning_rate=RATE, momentum=MOMENTUM, weight_decay=0.0),
            optax.constant_schedule(RATE),
            before["params"],
            config,
        )
        executor = make_executor(ParallelConfig(**parallel))
        state = executor.place(lambda tree: create_state(tree, optimizer, averaged=False), before)
        step = make_train_step(
            build(config, axis_name=executor.axis_name),
            Preprocess(CLIP[0], 1, CLIP[1], CLIP[1:]),
            optimizer,
            LossConfig(),
            TrainingConfig(),
            axis_name=executor.axis_name,
            gather=executor.gather,
        )
        step, seed = executor.compile_train(step, state), executor.place_whole(np.uint32(0))
        descent = torch.optim.SGD(model.train().parameters(), RATE, momentum=MOMENTUM)
        for _ in range(STEPS):
            batch = {
                "video": generator.integers(0, 256, (4, *CLIP, 3), np.uint8),
                "label": generator.integers(0, CLASSES, 4, np.int32),
            }
            state, _ = step(state, executor.to_devices(batch), seed)
            descent.zero_grad()
            video = torch.from_numpy(batch["video"]).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
            torch.nn.functional.cross_entropy(model(video), torch.from_numpy(batch["label"]).long()).backward()
            descent.step()
        actual, first, expected = (flatten_variables(tree) for tree in (executor.to_host(state.model_variables), before, as_ours()))
    assert any(path.startswith("batch_stats") for path in expected)
    for path, values in expected.items():
        moved = np.abs(values - first[path]).max()
        np.testing.assert_allclose(actual[path], values, rtol=0, atol=1e-3 * moved + 2e-7 * np.abs(values).max(), err_msg=path)
        # A constant that is added before a normalisation is taken away by it: these do not move where no ReLU cuts anything off.
        assert moved > 1e-7 or path.endswith(("norm_3/bias", "norm_shortcut/bias")), path


def test_what_does_not_fit_is_refused_in_one_line(tmp_path, capsys, theirs):
    state = dict(theirs.state_dict())
    lost = state.pop("blocks.3.res_blocks.2.branch2.norm_b.0.running_var")
    torch.save(state, tmp_path / "lost.pth")
    torch.save({name: values for name, values in state.items() if "blocks.4.res_blocks.6" not in name}, tmp_path / "shallow.pth")
    state |= {"blocks.3.res_blocks.2.branch2.norm_b.0.running_var": lost}
    torch.save(state, tmp_path / "whole.pth")
    for source, options, told in (
        ("lost.pth", (), "1 missing: blocks.3.res_blocks.2.branch2.norm_b.0.running_var (216,)"),
        ("shallow.pth", (), "its stages have (3, 5, 11, 6) blocks"),
        ("whole.pth", ("--architecture", "x3d_l"), "can become x3d_s or x3d_xs or x3d_m, not x3d_l"),
        ("whole.pth", ("--factorisation", "factorised_encoder"), "which has no factorisation"),
        ("whole.pth", ("--num_heads", "4"), "init.num_heads is set"),
        ("whole.pth", ("--format", "video_resnet"), "no known ResNet has these names"),
    ):
        assert cli.main(["convert", str(tmp_path / source), "--to", str(tmp_path / "ours"), *options]) == 2, source
        err = capsys.readouterr().err
        assert told in err, err
        assert err.count("\n") == 1, err
    model = make_config("x3d", {"clip": CLIP, "num_classes": 3})
    started = initialise(model, InitConfig(source=str(tmp_path / "whole.pth")), 0)
    assert flatten_variables(started.variables)["head/kernel"].shape == (2048, 3)
    with pytest.raises(UserError, match="cannot be kept"):
        initialise(model, InitConfig(source=str(tmp_path / "whole.pth"), head="keep"), 0)
