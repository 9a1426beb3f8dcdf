"""State dicts in what training code wraps them in: keys of a checkpoint around them, words in front of their names."""

import numpy as np
import pytest
from parity import WIDTHS, randomise, timm, torch, transformers

from vivit_jax.weights.vit.backbone import SourceOptions
from vivit_jax.weights.vit.source import read_source
from vivit_jax.weights.wrappers import state_dict_in

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
