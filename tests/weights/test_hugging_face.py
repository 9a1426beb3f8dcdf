"""Hugging Face's image models, ViViT and TimeSformer on random weights: the same logits, there and back; others refused by name."""

import json

import jax
import numpy as np
import pytest
from parity import TOLERANCE, WIDTHS, image_logits, randomise, torch, transformers
from safetensors.torch import load_file

from vivit_jax.weights import from_pretrained
from vivit_jax.weights.export import export
from vivit_jax.weights.vit.backbone import SourceOptions
from vivit_jax.weights.vit.source import read_source


@pytest.mark.parametrize(("size", "patch", "bias"), [(24, 8, True), ((16, 24), 8, True), (16, 4, False)])
def test_a_vit_has_the_logits_of_transformers(tmp_path, size, patch, bias):
    config = transformers.ViTConfig(**WIDTHS, image_size=size, patch_size=patch, num_labels=5, qkv_bias=bias)
    model = randomise(transformers.ViTForImageClassification(config))
    model.save_pretrained(tmp_path / "vit")
    height, width = (size, size) if isinstance(size, int) else size
    image = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    logits, pretrained = image_logits(tmp_path / "vit", image, 5)
    assert (pretrained.model.config.activation, pretrained.model.config.norm_eps) == ("gelu", 1e-12)
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(image).logits.numpy(), **TOLERANCE)


@pytest.mark.parametrize("form", ["sharded", "bin"])
def test_weights_in_shards_and_as_bin_are_read(tmp_path, form):
    model = randomise(transformers.ViTModel(transformers.ViTConfig(**WIDTHS, image_size=16, patch_size=8)))
    model.save_pretrained(tmp_path / "vit", max_shard_size="20KB")
    assert len(list((tmp_path / "vit").glob("*.safetensors"))) > 1
    if form == "bin":
        shards = sorted((tmp_path / "vit").glob("*.safetensors"))
        saved = {name: tensor for shard in shards for name, tensor in load_file(shard).items()}
        for file in (tmp_path / "vit").glob("*.safetensors*"):
            file.unlink()
        torch.save(saved, tmp_path / "vit" / "pytorch_model.bin")
    image = torch.randn(2, 3, 16, 16)
    features, _ = image_logits(tmp_path / "vit", image, None)
    with torch.no_grad():
        np.testing.assert_allclose(features, model(image).last_hidden_state[:, 0].numpy(), **TOLERANCE)


@pytest.mark.parametrize("name", ["vit", "dinov2", "ijepa", "vivit"])
def test_the_names_that_transformers_has_in_memory_are_those_of_its_files(tmp_path, name):
    """transformers 5 renamed its modules and writes the older names, unless told otherwise or saved by torch alone."""
    video = {"num_frames": 4, "tubelet_size": [2, 8, 8]} if name == "vivit" else {}
    config = transformers.AutoConfig.for_model(name, image_size=16, patch_size=8, **video, **WIDTHS)
    model = randomise(transformers.AutoModel.from_config(config))
    model.save_pretrained(tmp_path / "file")
    (tmp_path / "memory").mkdir()
    config.save_pretrained(tmp_path / "memory")
    torch.save(model.state_dict(), tmp_path / "memory" / "pytorch_model.bin")
    backbones = [read_source(tmp_path / form, SourceOptions()) for form in ("file", "memory")]
    assert backbones[0].params.keys() == backbones[1].params.keys()
    for path, array in backbones[0].params.items():
        np.testing.assert_array_equal(array, backbones[1].params[path])


def test_timesformers_joint_attention_is_model_1(tmp_path):
    config = transformers.TimesformerConfig(
        **WIDTHS, image_size=16, patch_size=8, num_frames=3, num_labels=5, attention_type="joint_space_time"
    )
    model = randomise(transformers.TimesformerForVideoClassification(config))
    model.save_pretrained(tmp_path / "timesformer")
    pretrained = from_pretrained(tmp_path / "timesformer")
    assert pretrained.model.config.factorisation == "spatio_temporal_attention"
    assert (pretrained.preprocess.mean, pretrained.preprocess.std) == ((0.45,) * 3, (0.225,) * 3)
    video = torch.randn(2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    logits = jax.jit(pretrained.model.apply)(pretrained.variables, video.numpy().transpose(0, 1, 3, 4, 2))
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(video).logits.numpy(), **TOLERANCE)


@pytest.mark.parametrize(("size", "frame"), [(40, (24, 16)), ([16, 64], (16, 64))])
def test_dinov2_has_its_layer_scale_folded_and_its_positions_resized(tmp_path, size, frame):
    """Its own code resizes a grid of 5 x 5 to 3 x 2, bicubic; and 16 positions as those of 4 x 4, even where image_size says 2 x 8."""
    config = transformers.Dinov2Config(**{k: v for k, v in WIDTHS.items() if k != "intermediate_size"}, image_size=size, patch_size=8)
    model = randomise(transformers.Dinov2Model(config))
    model.save_pretrained(tmp_path / "dino")
    image = torch.randn(2, 3, *frame)
    features, pretrained = image_logits(tmp_path / "dino", image, None)
    assert pretrained.preprocess.mean == (0.485, 0.456, 0.406)
    with torch.no_grad():
        np.testing.assert_allclose(features, model(image).last_hidden_state[:, 0].numpy(), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("timesformer", {"num_frames": 4}, "TimeSformer's divided attention has a cls token in each frame"),
        ("timesformer", {"num_frames": 4, "attention_type": "space_only"}, "space_only attention classifies each frame alone"),
        ("deit", {}, "distilled DeiT"),
        ("dinov2_with_registers", {}, "register tokens"),
        ("dinov3_vit", {}, "register tokens"),
        ("dinov2", {"use_swiglu_ffn": True}, "SwiGLU"),
        ("clip_vision_model", {}, "CLIP normalises before its first block"),
        ("siglip_vision_model", {}, "SigLIP pools by attention"),
    ],
)
def test_models_without_an_exact_map_are_refused_by_name(tmp_path, name, options, reason):
    config = transformers.AutoConfig.for_model(name, image_size=16, patch_size=8, **options, **WIDTHS)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / name)
    with pytest.raises(ValueError, match=reason) as error:
        read_source(tmp_path / name, SourceOptions())
    assert "\n" not in str(error.value)


def vivit(tmp_path, tubelet=(2, 8, 8), frames=4, activation="gelu_fast"):
    config = transformers.VivitConfig(
        **WIDTHS,
        image_size=16,
        num_frames=frames,
        tubelet_size=list(tubelet),
        num_labels=3,
        hidden_act=activation,
        id2label={0: "a", 1: "b", 2: "c"},
    )
    model = randomise(transformers.VivitForVideoClassification(config))
    model.save_pretrained(tmp_path / "vivit")
    return model


@pytest.mark.parametrize(
    ("tubelet", "frames", "activation"), [((2, 8, 8), 4, "gelu_fast"), ((1, 4, 4), 2, "gelu"), ((4, 8, 8), 8, "gelu_fast")]
)
def test_a_vivit_has_the_logits_of_transformers_there_and_back(tmp_path, tubelet, frames, activation):
    model = vivit(tmp_path, tubelet, frames, activation)
    transformers.VivitImageProcessor(size={"shortest_edge": 20}, crop_size={"height": 16, "width": 16}).save_pretrained(tmp_path / "vivit")
    pretrained = from_pretrained(tmp_path / "vivit")
    assert pretrained.labels == ("a", "b", "c")
    video = np.random.default_rng(0).integers(0, 256, (1, frames, 20, 20, 3), np.uint8)
    processor = transformers.VivitImageProcessor.from_pretrained(tmp_path / "vivit")
    pixels = processor(list(video[0]), return_tensors="pt")["pixel_values"]
    cropped = video[:, :, 2:18, 2:18]
    np.testing.assert_allclose(pretrained.preprocess.normalise(cropped), pixels.numpy().transpose(0, 1, 3, 4, 2), atol=2e-6)
    logits = jax.jit(pretrained.model.apply)(pretrained.variables, pretrained.preprocess.normalise(cropped))
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(pixels).logits.numpy(), **TOLERANCE)

    export(pretrained, "hugging_face", tmp_path / "exported")
    theirs = transformers.VivitForVideoClassification.from_pretrained(tmp_path / "exported").eval()
    processor = transformers.VivitImageProcessor.from_pretrained(tmp_path / "exported")
    again = processor(list(video[0]), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        np.testing.assert_allclose(theirs(again).logits.numpy(), logits, **TOLERANCE)
    back = from_pretrained(tmp_path / "exported")
    assert (back.model.config, back.preprocess, back.labels) == (pretrained.model.config, pretrained.preprocess, pretrained.labels)
    jax.tree.map(np.testing.assert_array_equal, back.variables, pretrained.variables)


def test_class_names_whose_numbers_are_not_those_of_the_classes_are_refused(tmp_path):
    vivit(tmp_path)
    path = tmp_path / "vivit" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id2label": {"0": "a", "1": "b", "3": "c"}}))
    with pytest.raises(ValueError, match="id2label must number its 3 classes from 0 to 2, got 3"):
        from_pretrained(tmp_path / "vivit")


@pytest.mark.parametrize("name", ["vivit", "videomae"])
def test_a_head_for_regression_is_not_taken_for_classes(tmp_path, name):
    tubelet = {"tubelet_size": [2, 8, 8]} if name == "vivit" else {"patch_size": 8}
    config = transformers.AutoConfig.for_model(
        name, image_size=16, num_frames=2, num_labels=1, problem_type="regression", **tubelet, **WIDTHS
    )
    transformers.AutoModelForVideoClassification.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="trained for regression, whose outputs are no classes; give num_classes"):
        from_pretrained(tmp_path)


def test_frames_that_are_not_square_go_to_hugging_face_and_back(tmp_path):
    config = transformers.VivitConfig(**WIDTHS, image_size=[16, 24], num_frames=4, tubelet_size=[2, 8, 8], num_labels=3)
    model = randomise(transformers.VivitForVideoClassification(config))
    model.save_pretrained(tmp_path / "vivit")
    pretrained = from_pretrained(tmp_path / "vivit")
    export(pretrained, "hugging_face", tmp_path / "exported")
    theirs = transformers.VivitForVideoClassification.from_pretrained(tmp_path / "exported").eval()
    video = torch.randn(1, 4, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    logits = jax.jit(pretrained.model.apply)(pretrained.variables, video.numpy().transpose(0, 1, 3, 4, 2))
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(video).logits.numpy(), **TOLERANCE)
        np.testing.assert_array_equal(theirs(video).logits.numpy(), model(video).logits.numpy())


def test_a_model_of_one_class_goes_to_hugging_face(tmp_path):
    """transformers refuses one class of which each video has exactly one."""
    config = transformers.VivitConfig(**WIDTHS, image_size=16, num_frames=2, tubelet_size=[2, 8, 8], num_labels=1)
    model = randomise(transformers.VivitForVideoClassification(config))
    model.save_pretrained(tmp_path / "vivit")
    export(from_pretrained(tmp_path / "vivit"), "hugging_face", tmp_path / "exported")
    theirs = transformers.VivitForVideoClassification.from_pretrained(tmp_path / "exported").state_dict()
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(theirs[name], tensor)
