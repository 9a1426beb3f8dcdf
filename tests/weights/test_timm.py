"""timm's ViTs on random weights: the same logits, by what its config.json says beside them; others refused by name."""

import json
import re

import numpy as np
import pytest
from parity import TOLERANCE, image_logits, randomise, timm, torch
from safetensors.torch import save_file

from vivit_jax.weights.vit.backbone import HEADS_OF_WIDTH, SourceOptions
from vivit_jax.weights.vit.source import read_source
from vivit_jax.weights.vit.timm import HEADS_OF_ARCHITECTURE, TANH

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
def test_a_vit_has_the_logits_of_timm(tmp_path, name, suffix):
    model = randomise(
        timm.models.VisionTransformer(img_size=24, patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=5, **TIMM[name])
    )
    path = tmp_path / f"vit.{suffix}"
    save_file(model.state_dict(), path) if suffix == "safetensors" else torch.save({"state_dict": model.state_dict()}, path)
    image = torch.randn(2, 3, 24, 24)
    logits, _ = image_logits(path, image, 5, num_heads=4)
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(image).numpy(), **TOLERANCE)


def test_average_pooling_with_its_own_norm_keeps_the_tokens_and_refuses_the_head(tmp_path):
    model = randomise(
        timm.models.VisionTransformer(img_size=24, patch_size=8, embed_dim=32, depth=1, num_heads=4, num_classes=5, global_pool="avg")
    )
    torch.save(model.state_dict(), tmp_path / "vit.pth")
    with pytest.raises(ValueError, match=r"cannot be kept: its head normalises after averaging"):
        image_logits(tmp_path / "vit.pth", torch.randn(1, 3, 24, 24), 5, num_heads=4)
    backbone = read_source(tmp_path / "vit.pth", SourceOptions(num_heads=4))
    np.testing.assert_array_equal(backbone.params["encoder/norm/scale"], model.fc_norm.weight.detach().numpy())


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
