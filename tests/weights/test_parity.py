"""Against transformers and timm on random weights: the converted model gives the logits and tokens that theirs gives."""

import json
import re

import jax
import numpy as np
import pytest

from vivit_jax.weights import from_pretrained
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.convert import convert
from vivit_jax.weights.export import export
from vivit_jax.weights.vit.backbone import HEADS_OF_WIDTH, SourceOptions
from vivit_jax.weights.vit.source import read_source
from vivit_jax.weights.vit.timm import HEADS_OF_ARCHITECTURE, TANH
from vivit_jax.weights.wrappers import state_dict_in

torch = pytest.importorskip("torch", reason="parity needs the extra `parity`: pip install -e '.[parity]'")
transformers = pytest.importorskip("transformers", reason="parity needs the extra `parity`: pip install -e '.[parity]'")
timm = pytest.importorskip("timm", reason="parity needs the extra `parity`: pip install -e '.[parity]'")

TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}
WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


def randomise(model, seed=0):
    """Every parameter random, so that nothing can hide behind a zero or a one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2 + (parameter.ndim == 1) * 0.1)
    return model.eval()


def image_logits(path, image, classes, **init):
    """The image model run as a ViViT of one frame: tubelet of one frame, clip of one frame, joint attention."""
    height, width = image.shape[-2:]
    backbone = read_source(path, SourceOptions(num_heads=init.get("num_heads")))
    model = {
        "factorisation": "spatio_temporal_attention",
        "clip": (1, height, width),
        "tubelet": (1, *backbone.patch),
        "num_classes": classes,
    }
    pretrained = convert(path, model, InitConfig(**init), head="keep" if classes else "fresh").pretrained
    video = image.numpy().transpose(0, 2, 3, 1)[:, None]
    return np.asarray(jax.jit(pretrained.model.apply)(pretrained.variables, video)), pretrained


@pytest.mark.parametrize(("size", "patch", "bias"), [(24, 8, True), ((16, 24), 8, True), (16, 4, False)])
def test_hugging_face_vit(tmp_path, size, patch, bias):
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
def test_hugging_face_in_shards_and_as_bin(tmp_path, form):
    model = randomise(transformers.ViTModel(transformers.ViTConfig(**WIDTHS, image_size=16, patch_size=8)))
    model.save_pretrained(tmp_path / "vit", max_shard_size="20KB")
    assert len(list((tmp_path / "vit").glob("*.safetensors"))) > 1
    if form == "bin":
        for shard in (tmp_path / "vit").glob("*.safetensors*"):
            shard.unlink()
        torch.save(dict(_saved_names(model)), tmp_path / "vit" / "pytorch_model.bin")
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
def test_hugging_face_dinov2_with_its_layer_scale_folded_and_positions_resized(tmp_path, size, frame):
    """Its own code resizes a grid of 5 x 5 to 3 x 2, bicubic; and 16 positions as those of 4 x 4, even where image_size says 2 x 8."""
    config = transformers.Dinov2Config(**{k: v for k, v in WIDTHS.items() if k != "intermediate_size"}, image_size=size, patch_size=8)
    model = randomise(transformers.Dinov2Model(config))
    model.save_pretrained(tmp_path / "dino")
    image = torch.randn(2, 3, *frame)
    features, pretrained = image_logits(tmp_path / "dino", image, None)
    assert pretrained.preprocess.mean == (0.485, 0.456, 0.406)
    with torch.no_grad():
        np.testing.assert_allclose(features, model(image).last_hidden_state[:, 0].numpy(), atol=2e-5, rtol=2e-5)


TIMM = {
    "cls": {},
    "cls without qkv bias": {"qkv_bias": False},
    "layer scale": {"init_values": 0.1},
    "cls without position": {"no_embed_class": True},
    "average without cls": {"global_pool": "avg", "class_token": False, "fc_norm": False},
    "average, then norm": {"global_pool": "avg", "class_token": False, "fc_norm": True},
}


@pytest.mark.parametrize("name", TIMM)
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_timm_vit(tmp_path, name, suffix):
    from safetensors.torch import save_file

    model = randomise(
        timm.models.VisionTransformer(img_size=24, patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=5, **TIMM[name])
    )
    path = tmp_path / f"vit.{suffix}"
    save_file(model.state_dict(), path) if suffix == "safetensors" else torch.save({"state_dict": model.state_dict()}, path)
    image = torch.randn(2, 3, 24, 24)
    logits, _ = image_logits(path, image, 5, num_heads=4)
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(image).numpy(), **TOLERANCE)


def test_timm_average_pooling_with_its_own_norm_keeps_the_tokens_and_refuses_the_head(tmp_path):
    model = randomise(
        timm.models.VisionTransformer(img_size=24, patch_size=8, embed_dim=32, depth=1, num_heads=4, num_classes=5, global_pool="avg")
    )
    torch.save(model.state_dict(), tmp_path / "vit.pth")
    with pytest.raises(ValueError, match=r"cannot be kept: its head normalises after averaging"):
        image_logits(tmp_path / "vit.pth", torch.randn(1, 3, 24, 24), 5, num_heads=4)
    backbone = read_source(tmp_path / "vit.pth", SourceOptions(num_heads=4))
    np.testing.assert_array_equal(backbone.params["encoder/norm/scale"], model.fc_norm.weight.detach().numpy())


WRAPPED = {
    "model": lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    "lightning": lambda state: {"state_dict": {f"model.{name}": tensor for name, tensor in state.items()}, "epoch": 3},
    "parallel": lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    "dino": lambda state: {
        "student": {f"module.backbone.{name}": tensor * 0 for name, tensor in state.items()},
        "teacher": {f"backbone.{name}": tensor for name, tensor in state.items()}
        | {"head.mlp.0.weight": torch.zeros(2, 2), "head.last_layer.weight_g": torch.zeros(2, 1)},
    },
    "average": lambda state: {"model": {name: tensor * 0 for name, tensor in state.items()}, "model_ema": state},
    "trainer": lambda state: {"model_state_dict": state, "step": 7},
    "compiled": lambda state: {"state_dict": {f"model._orig_mod.{name}": tensor for name, tensor in state.items()}},
    "layers compiled": lambda state: {name.replace("blocks.0.", "blocks.0._orig_mod."): tensor for name, tensor in state.items()},
    "sharded over devices": lambda state: {f"_fsdp_wrapped_module.{name}": tensor for name, tensor in state.items()},
    "another attribute": lambda state: {"state_dict": {f"net.{name}": tensor for name, tensor in state.items()}},
    "torchvision's average": lambda state: {
        "model": {name: tensor * 0 for name, tensor in state.items()},
        "model_ema": {"n_averaged": torch.tensor(3)} | {f"module.{name}": tensor for name, tensor in state.items()},
    },
    "average beside a state_dict": lambda state: {
        "state_dict": {name: tensor * 0 for name, tensor in state.items()},
        "ema": {"decay": 0.999},
        "ema_state_dict": state,
    },
    "average in a module": lambda state: {
        "model": {name: tensor * 0 for name, tensor in state.items()},
        "ema": {"module": state},
    },
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_a_state_dict_is_found_in_what_training_code_wraps_it_in(tmp_path, wrapping):
    state = randomise(
        timm.models.VisionTransformer(img_size=24, patch_size=8, embed_dim=32, depth=1, num_heads=4, num_classes=0)
    ).state_dict()
    torch.save(WRAPPED[wrapping](state), tmp_path / "vit.pth")
    backbone = read_source(tmp_path / "vit.pth", SourceOptions(num_heads=4))
    np.testing.assert_array_equal(backbone.params["encoder/norm/scale"], state["norm.weight"].numpy())
    np.testing.assert_array_equal(backbone.params["encoder/block_00/mlp/in/kernel"], state["blocks.0.mlp.fc1.weight"].numpy().T)


@pytest.mark.parametrize(("wrapping", "taken"), [("model", None), ("dino", "teacher"), ("average beside a state_dict", "ema_state_dict")])
def test_which_of_several_state_dicts_was_taken_is_told(tmp_path, wrapping, taken):
    state = timm.models.VisionTransformer(img_size=24, patch_size=8, embed_dim=32, depth=1, num_heads=4, num_classes=0).state_dict()
    torch.save(WRAPPED[wrapping](state), tmp_path / "vit.pth")
    notes = dict(read_source(tmp_path / "vit.pth", SourceOptions(num_heads=4)).notes)
    assert notes.get("(weights)") == (taken and f"those under {taken!r}: the checkpoint holds others too")


def test_no_part_of_a_model_is_taken_for_the_whole():
    parts = {"net": {"weight": torch.ones(2)}, "head": {"weight": torch.ones(3)}}
    assert state_dict_in({"state_dict": parts, "epoch": 3}) == (parts, "")


@pytest.mark.parametrize("wrapping", ["parallel", "compiled", "another attribute", "average in a module"])
@pytest.mark.parametrize("name", ["vit", "videomae"])
def test_hugging_faces_models_are_found_in_what_training_code_wraps_them_in(tmp_path, wrapping, name):
    video = {"num_frames": 2} if name == "videomae" else {}
    state = randomise(
        transformers.AutoModel.from_config(transformers.AutoConfig.for_model(name, image_size=16, patch_size=8, **video, **WIDTHS))
    ).state_dict()
    torch.save(state, tmp_path / "plain.pth")
    torch.save(WRAPPED[wrapping](state), tmp_path / "wrapped.pth")
    options = SourceOptions(num_heads=4, clip=(2, 16, 16) if video else None)
    plain, wrapped = (read_source(tmp_path / f"{form}.pth", options).params for form in ("plain", "wrapped"))
    assert plain.keys() == wrapped.keys()
    for path, array in plain.items():
        np.testing.assert_array_equal(array, wrapped[path])


@pytest.mark.parametrize(
    ("pool", "options", "kept"),
    [
        ("avg", {}, False),
        ("max", {"class_token": False}, True),
        ("avgmax", {"class_token": False}, False),
        ("max", {"class_token": False, "fc_norm": True}, False),
        ("token", {"fc_norm": True}, True),
    ],
)
def test_timms_config_says_how_tokens_are_pooled(tmp_path, pool, options, kept):
    from safetensors.torch import save_file

    sizes = {"img_size": 24, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 4, "num_classes": 5}
    model = randomise(timm.models.VisionTransformer(**sizes, global_pool=pool, **{"fc_norm": False} | options))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_tiny_patch8", "global_pool": pool}))
    image = torch.randn(2, 3, 24, 24)
    if not kept:
        with pytest.raises(ValueError, match=r"the head cannot be kept: its head (reads|normalises) "):
            image_logits(tmp_path, image, 5, num_heads=4)
        return
    logits, _ = image_logits(tmp_path, image, 5, num_heads=4)
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(image).numpy(), **TOLERANCE)


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("vit_so400m_patch16_siglip_gap_256", {}),
        ("vit_wee_patch16_reg1_gap_256", {"act_layer": "gelu_tanh"}),
    ],
)
def test_timms_architectures_say_the_activation_and_how_positions_are_resized(tmp_path, architecture, arguments):
    from safetensors.torch import save_file

    sizes = {"img_size": 24, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 4, "num_classes": 5, "reg_tokens": 0}
    model = randomise(timm.create_model(architecture, **sizes, dynamic_img_size=True, **arguments))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(
        json.dumps({"architecture": architecture, "global_pool": "avg", "model_args": {"img_size": 24, "num_heads": 4} | arguments})
    )
    image = 3 * torch.randn(2, 3, 16, 32)
    logits, _ = image_logits(tmp_path, image, 5)
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(image).numpy(), **TOLERANCE)


def test_the_architectures_of_timm_with_tanh_gelu_are_all_listed():
    """Of those with SigLIP's weights and average pooling: no other architecture that can be read has it."""
    listed = {}
    for architecture in timm.list_models("*siglip_gap*", module="vision_transformer"):
        with torch.device("meta"):
            block = timm.create_model(architecture, depth=1).blocks[0]
        listed[architecture] = bool(re.match(TANH, architecture))
        assert listed[architecture] == isinstance(block.mlp.act, timm.layers.GELUTanh), architecture
    assert set(listed.values()) == {True, False}


@pytest.mark.slow
def test_the_architectures_of_timm_with_unusual_heads_are_all_listed():
    """Of those that can be read: no registers, no norm before the first block as CLIP's, no attention pooling, no parallel branches."""
    unusual = {}
    for architecture in timm.list_models(["vit_*", "deit*", "flexivit*"], module=["vision_transformer", "deit"]):
        if re.search(r"_reg\d|clip|_pe_|rpn|distilled|dinov3|siglip(?!_gap)|siglip2|18x2|mci", architecture):
            continue
        with torch.device("meta"):
            model = timm.create_model(architecture, depth=1)
        heads, usual = getattr(getattr(model.blocks[0], "attn", None), "num_heads", None), HEADS_OF_WIDTH.get(model.embed_dim)
        if heads and usual and heads != usual:
            unusual[architecture] = heads
    assert unusual == HEADS_OF_ARCHITECTURE


def test_timms_architecture_says_how_many_heads_attend(tmp_path):
    model = timm.create_model("vit_base_patch16_gap_224", depth=1, img_size=32)
    timm.models.save_for_hf(model, tmp_path, model_args={"img_size": 32})
    assert read_source(tmp_path, SourceOptions()).num_heads == model.blocks[0].attn.num_heads == 16


@pytest.mark.parametrize(
    ("field", "value"), [("act_layer", "quick_gelu"), ("norm_layer", "rmsnorm"), ("attn_layer", "diff"), ("use_rot_pos_emb", True)]
)
def test_arguments_of_timms_models_that_a_vivit_cannot_express_are_refused_by_name(tmp_path, field, value):
    from safetensors.torch import save_file

    save_file(timm.create_model("vit_tiny_patch16_224", depth=1).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_tiny_patch16_224", "model_args": {field: value}}))
    with pytest.raises(ValueError, match=rf"config\.json says {field} '?{value}'?, (and|which) a ViViT"):
        read_source(tmp_path, SourceOptions())


@pytest.mark.parametrize(
    ("architecture", "told"),
    [
        ("vit_base_patch16_rpn_224", "normalises after each residual branch"),
        ("vit_small_patch16_rope_ape_224", "turns queries and keys by their places"),
    ],
)
def test_what_timm_computes_with_the_weights_of_a_plain_vit_is_refused_by_the_architecture(tmp_path, architecture, told):
    model = timm.create_model(architecture, depth=1, embed_dim=32, num_heads=4, img_size=32)
    timm.models.save_for_hf(model, tmp_path, model_args={"num_heads": 4, "img_size": 32})
    with pytest.raises(ValueError, match=told) as error:
        read_source(tmp_path, SourceOptions())
    assert "\n" not in str(error.value)


REFUSED = {
    "distilled": (lambda: timm.models.deit.VisionTransformerDistilled, {}, "a distilled DeiT"),
    "registers": (lambda: timm.models.VisionTransformer, {"reg_tokens": 4}, "register tokens"),
    "pre-norm": (lambda: timm.models.VisionTransformer, {"pre_norm": True}, "before its first block"),
    "query and key norm": (lambda: timm.models.VisionTransformer, {"qk_norm": True}, "normalises queries and keys"),
    "attention pooling": (lambda: timm.models.VisionTransformer, {"global_pool": "map", "class_token": False}, "pools by attention"),
    "packed gates": (lambda: timm.models.VisionTransformer, {"mlp_layer": timm.layers.SwiGLUPacked}, "SwiGLU"),
    "BEiT": (lambda: timm.models.beit.Beit, {"use_abs_pos_emb": True, "use_rel_pos_bias": False}, "that of BEiT"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_timm_models_that_a_vivit_cannot_express_are_refused_by_name(tmp_path, name):
    cls, options, reason = REFUSED[name]
    model = cls()(img_size=16, patch_size=8, embed_dim=32, depth=1, num_heads=4, **options)
    torch.save(model.state_dict(), tmp_path / "vit.pth")
    with pytest.raises(ValueError, match=reason) as error:
        read_source(tmp_path / "vit.pth", SourceOptions(num_heads=4))
    assert "\n" not in str(error.value)


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
def test_hugging_face_models_without_an_exact_map_are_refused_by_name(tmp_path, name, options, reason):
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
def test_hugging_face_vivit_there_and_back(tmp_path, tubelet, frames, activation):
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


def _saved_names(model):
    """The state dict under the names that save_pretrained writes."""
    import tempfile

    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        yield from load_file(f"{folder}/model.safetensors").items()
