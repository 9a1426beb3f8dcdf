"""ResNets against torchvision and timm on random weights and random running statistics: the same logits, both ways through files."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import resnets
from closeness import relative_error
from resnets import torch, torchvision
from safetensors.torch import save_file

import vivit_jax
from vivit_jax import cli
from vivit_jax.errors import UserError
from vivit_jax.models.families import make_config
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.conversion import ConversionOptions
from vivit_jax.weights.convert import convert
from vivit_jax.weights.initialise import initialise
from vivit_jax.weights.layers import flatten_variables

timm = pytest.importorskip("timm", reason="parity needs the extra `parity`: pip install -e '.[parity]'")

VIDEO = ("r3d_18", "mc3_18", "r2plus1d_18")
CLIP = (6, 32, 40)


@pytest.fixture(scope="module")
def theirs():
    """torchvision's video ResNets of seven classes, randomised."""
    return {name: resnets.randomise(getattr(torchvision.models.video, name)(num_classes=7)) for name in VIDEO}


@pytest.mark.parametrize(
    ("name", "convolutions"),
    [
        ("r3d_18", "3d"),
        pytest.param("mc3_18", "3d", marks=pytest.mark.slow),
        pytest.param("r2plus1d_18", "3d", marks=pytest.mark.slow),
        ("r2plus1d_18", "2d"),
    ],
)
def test_logits_are_torchvisions(tmp_path, theirs, name, convolutions):
    path = resnets.write(theirs[name], tmp_path / "weights.safetensors")
    pretrained = convert(path, {"clip": CLIP}, InitConfig()).pretrained
    config = dataclasses.replace(pretrained.model.config, convolutions=convolutions)
    assert (config.architecture, config.num_classes) == (name, 7)
    ours, video = resnets.clips((2, *CLIP))
    logits = jax.jit(pretrained.model.clone(config=config).apply)(pretrained.variables, ours)
    with torch.no_grad():
        assert relative_error(logits, theirs[name](video).numpy()) < 1e-5


def test_weights_go_to_a_directory_and_back_by_the_commands(tmp_path, capsys, theirs):
    model = theirs["r2plus1d_18"]
    path = resnets.write(model, tmp_path / "weights.pth")
    assert cli.main(["convert", str(path), "--to", str(tmp_path / "ours"), "--format", "auto"]) == 0
    told = capsys.readouterr().out
    assert "num_batches_tracked (37)" in told
    assert "does not name its classes" in told
    sampling = json.loads((tmp_path / "ours" / "preprocess.json").read_text())
    assert (sampling["frames"], sampling["resize"], sampling["crop"]) == (16, 128, [112, 112])
    assert (sampling["mean"], sampling["std"]) == ([0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989])

    pretrained = vivit_jax.from_pretrained(tmp_path / "ours")
    assert pretrained.labels[:2] == ("LABEL_0", "LABEL_1")
    for back, load in ((tmp_path / "back.pth", torch.load), (tmp_path / "back.safetensors", resnets.load_file)):
        assert cli.main(["export", "--model", str(tmp_path / "ours"), "--to", "torchvision", str(back)]) == 0
        fresh = torchvision.models.video.r2plus1d_18(num_classes=7)
        fresh.load_state_dict(load(back), strict=True)
        for name, tensor in model.state_dict().items():
            assert name.endswith("num_batches_tracked") or torch.equal(tensor, fresh.state_dict()[name]), name


@pytest.mark.parametrize(
    ("library", "name", "architecture"),
    [
        ("torchvision", "resnet18", "c2d_18"),
        pytest.param("timm", "resnet18", "i3d_18", marks=pytest.mark.slow),
        pytest.param("timm", "resnet50", "c2d_50", marks=pytest.mark.slow),
        pytest.param("torchvision", "resnet50", "i3d_50", marks=pytest.mark.slow),
    ],
)
def test_a_still_video_has_the_features_of_its_image(tmp_path, library, name, architecture):
    model = resnets.randomise(getattr(torchvision.models, name)() if library == "torchvision" else timm.create_model(name))
    path = resnets.write(model, tmp_path / "image.safetensors")
    image = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(1))
    video = np.repeat(image.numpy().transpose(0, 2, 3, 1)[:, None], 3, axis=1)
    asked = {"architecture": architecture, "clip": video.shape[1:4]}
    if architecture == "c2d_50":  # without its head
        model.fc = torch.nn.Identity()
        pretrained = convert(path, asked, InitConfig()).pretrained
    else:
        pretrained = convert(path, asked | {"num_classes": 1000}, InitConfig(), ConversionOptions(head="keep")).pretrained
    with torch.no_grad():
        assert relative_error(jax.jit(pretrained.model.apply)(pretrained.variables, video), model(image).numpy()) < 1e-5
    assert pretrained.preprocess.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("resnetblur18", "resnetblur18 smooths before it strides"),
        ("resnet18d", "its stem is three convolutions"),
        ("resnext50_32x4d", "its 3x3 convolutions are in 32 groups"),
        ("wide_resnet50_2", "its first stage is 128 wide and its stem 64"),
    ],
)
def test_relatives_of_the_resnet_are_refused_by_what_they_are(tmp_path, name, told):
    with torch.device("meta"):
        state = timm.create_model(name).state_dict()
    first = {key: torch.zeros(tensor.shape) for key, tensor in state.items() if key.startswith(("conv1.", "layer1.0."))}
    save_file(first, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": name, "num_classes": 1000}))
    with pytest.raises(UserError, match=told) as error:
        convert(tmp_path, {"clip": (1, 32, 32), "architecture": "c2d_50"}, InitConfig())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"), [("act_layer", "silu"), ("aa_layer", "blurpc"), ("norm_layer", "groupnorm"), ("output_stride", 8)]
)
def test_arguments_of_timm_that_change_a_resnet_are_refused(tmp_path, field, value):
    resnets.write(torchvision.models.resnet18(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "model_args": {field: value}}))
    with pytest.raises(UserError, match=f"config.json says {field} '{value}'"):
        convert(tmp_path, {"clip": (1, 32, 32), "architecture": "c2d_18"}, InitConfig())


def test_another_pooling_is_refused_as_timm_itself_writes_it(tmp_path):
    timm.models.save_for_hf(timm.create_model("resnet18", global_pool="max"), tmp_path)
    with pytest.raises(UserError, match=r"config\.json says global_pool 'max'"):
        convert(tmp_path, {"clip": (1, 32, 32), "architecture": "c2d_18"}, InitConfig())


def test_training_starts_from_a_video_model_with_a_fresh_head(tmp_path, theirs):
    path = resnets.write(theirs["r3d_18"], tmp_path / "weights.safetensors")
    model = make_config("resnet3d", {"clip": CLIP, "num_classes": 3})
    started = initialise(model, InitConfig(source=str(path)), 0)
    flat = flatten_variables(started.variables)
    assert flat["head/kernel"].shape == (512, 3)
    assert 0.009 < flat["head/kernel"].std() < 0.011
    np.testing.assert_array_equal(flat["batch_stats:stem/norm/var"], theirs["r3d_18"].stem[1].running_var.numpy())
    assert any("7 classes are not the model's" in group.done for group in started.report)
    with pytest.raises(UserError, match="cannot be kept"):
        initialise(model, InitConfig(source=str(path), head="keep"), 0)
    with pytest.raises(UserError, match="can become r3d_18, and the model is mc3_18"):
        initialise(dataclasses.replace(model, architecture="mc3_18"), InitConfig(source=str(path)), 0)


def test_what_does_not_fit_is_refused_in_one_line(tmp_path, capsys, theirs):
    state = dict(theirs["mc3_18"].state_dict())
    lost = state.pop("layer3.0.downsample.1.running_var")
    torch.save(state, tmp_path / "lost.pth")
    state |= {"layer3.0.downsample.1.running_var": lost, "layer3.0.attention.weight": lost}
    torch.save(state, tmp_path / "more.pth")
    del state["layer1.0.conv2.1.weight"]
    torch.save(state, tmp_path / "narrow.pth")
    resnets.write(torchvision.models.resnet34(), tmp_path / "resnet34.pth")
    both = {f"{part}.{name}": tensor for part in ("model", "backbone") for name, tensor in theirs["mc3_18"].state_dict().items()}
    torch.save(both, tmp_path / "both.pth")
    image = resnets.write(torchvision.models.resnet18(), tmp_path / "image.pth")
    resnets.write(theirs["mc3_18"], tmp_path / "whole.pth")
    for source, options, told in (
        ("lost.pth", (), "1 missing: layer3.0.downsample.1.running_var (256,)"),
        ("more.pth", (), "1 left over: layer3.0.attention.weight (256,)"),
        ("narrow.pth", (), "layer1.0.conv2.1.weight, which tells the width, must be a tensor"),
        ("both.pth", (), "two tensors claim stem.0.weight: model.stem.0.weight and backbone.stem.0.weight"),
        ("resnet34.pth", ("--clip", "4,32,32"), "only ResNet-18 and ResNet-50"),
        (image.name, ("--architecture", "c2d_18"), "give clip"),
        (image.name, ("--clip", "4,32,32"), "give architecture, c2d_18 or i3d_18"),
        ("whole.pth", ("--factorisation", "factorised_encoder"), "which has no factorisation"),
        ("whole.pth", ("--format", "image_resnet"), "is of format video_resnet, not image_resnet"),
        ("whole.pth", ("--num_heads", "4"), "init.num_heads is set"),
        ("whole.pth", ("--architecture", "r3d_18"), "can become mc3_18, not r3d_18"),
    ):
        assert cli.main(["convert", str(tmp_path / source), "--to", str(tmp_path / "ours"), *options]) == 2, source
        err = capsys.readouterr().err
        assert told in err, err
        assert err.count("\n") == 1, err
    assert not (tmp_path / "ours").exists()
