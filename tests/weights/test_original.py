"""Random train states in the original's layout: the models, poolings, grids and samplings that its goldens leave out."""

import flax.serialization
import flax.traverse_util
import jax
import numpy as np
import original
import pytest

from vivit_jax.errors import UserError
from vivit_jax.weights import from_pretrained

POOLS = {"token": "token", "gap": "mean", "gmp": "max", "gsp": "sum"}
FACTORISATIONS = {
    "spacetime": "spatio_temporal_attention",
    "factorized_encoder": "factorised_encoder",
    "factorized_self_attention_block": "factorised_self_attention",
    "factorized_dot_product_attention": "factorised_dot_product_attention",
}
SAMPLED = {"patch": (1, 4, 4), "sampled": 4}


def train_state(path, params):
    tree = flax.traverse_util.unflatten_dict(params, sep="/")
    path.write_bytes(flax.serialization.msgpack_serialize({"optimizer": {"target": tree}, "global_step": 7}))
    return path


def said(model, clip):
    """What the tree of `model` does not tell, as a user says it."""
    kind, encoding = model["attention_config"]["type"], model["temporal_encoding_config"]
    options = {"clip": clip}
    if model["classifier"] != "token":
        options["pool"] = POOLS[model["classifier"]]
    if kind in ("spacetime", "factorized_dot_product_attention"):
        options["factorisation"] = FACTORISATIONS[kind]
    if "n_sampled_frames" in encoding:
        options |= {"tokenizer": "frames", "sampled_frames": encoding["n_sampled_frames"]}
    order = model["attention_config"].get("attention_order")
    return options | ({"attention_order": order} if order else {})


CASES = {
    **{
        f"{kind}, {classifier}": (kind, classifier, (6, 8, 12), {})
        for kind in FACTORISATIONS
        for classifier in POOLS
        if classifier != "token" or kind in ("spacetime", "factorized_encoder")
    },
    **{f"{kind}, sampled": (kind, "gap", (9, 12, 8), SAMPLED) for kind in FACTORISATIONS},
    "spacetime, sampled, cls": ("spacetime", "token", (9, 12, 8), SAMPLED),
    "spacetime, every frame sampled": ("spacetime", "gap", (4, 12, 8), SAMPLED),
    "time, then space": ("factorized_self_attention_block", "gmp", (6, 8, 12), {"order": "time_space"}),
    "time, then space, more times than places": (
        "factorized_self_attention_block",
        "gap",
        (6, 4, 8),
        {"order": "time_space", "patch": (1, 4, 4)},
    ),
    "dot product, more times than places": ("factorized_dot_product_attention", "gap", (8, 4, 4), {"patch": (1, 4, 2)}),
    "tubelets that are no cubes": ("spacetime", "token", (6, 8, 12), {"patch": (3, 4, 2)}),
    **{f"spatial only, {classifier}": ("factorized_encoder", classifier, (4, 8, 12), {"spatial_only": True}) for classifier in POOLS},
    "spatial only, sampled": ("factorized_encoder", "token", (9, 8, 12), {"spatial_only": True, **SAMPLED}),
    "unlike encoders": ("factorized_encoder", "token", (4, 8, 12), {"temporal": {"num_layers": 1, "num_heads": 4, "mlp_dim": 24}}),
}


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_the_original(tmp_path, case):
    kind, classifier, clip, options = CASES[case]
    model = original.model_config(kind, classifier, **options)
    params = original.random_params(model, clip)
    video = np.random.default_rng(1).uniform(-1, 1, (2, *clip, 3)).astype(np.float32)
    pretrained = from_pretrained(train_state(tmp_path / "checkpoint", params), **said(model, clip))
    assert pretrained.model.config.factorisation == FACTORISATIONS[kind]
    logits = jax.jit(pretrained.model.apply)(pretrained.variables, video)
    np.testing.assert_allclose(logits, original.logits(params, video, model), atol=2e-5)


def state_of(tmp_path, clip, **options):
    model = original.model_config(options.pop("kind", "factorized_encoder"), "token", **options)
    return train_state(tmp_path / "checkpoint", original.random_params(model, clip))


def test_frames_that_a_tree_of_sampled_frames_does_not_tell_are_asked_for(tmp_path):
    path = state_of(tmp_path, (9, 8, 8), **SAMPLED)
    with pytest.raises(UserError, match="how many frames it samples its 4 from is not known: give clip"):
        from_pretrained(path)
    path = state_of(tmp_path, (9, 8, 8), **SAMPLED, spatial_only=True)
    with pytest.raises(UserError, match="how many frames the spatial-only baseline samples is not known: give sampled_frames"):
        from_pretrained(path, clip=(9, 8, 8))


@pytest.mark.parametrize("kind", ["spacetime", "factorized_encoder"])
def test_one_frame_too_many_of_the_original_is_never_taken_for_another_sampling(tmp_path, kind):
    """Asked for 6 of 32 frames it samples 7, which are not the 7 that it samples when asked for 7."""
    path = state_of(tmp_path, (32, 8, 8), kind=kind, patch=(1, 4, 4), sampled=7)
    options = {"clip": (32, 8, 8), "tokenizer": "frames"}
    for sampled in ({}, {"sampled_frames": 6}):
        with pytest.raises(
            UserError, match="samples 7 of 32 frames when asked for 7, and 7 other ones when asked for 6: give sampled_frames 7"
        ):
            from_pretrained(path, **options, **sampled)
    assert from_pretrained(path, **options, sampled_frames=7).model.config.grid == (7, 2, 2)


def test_a_source_clip_that_contradicts_model_2s_own_times_is_refused(tmp_path):
    path = state_of(tmp_path, (4, 8, 8))
    with pytest.raises(UserError, match=r"its 2 times in tubelets of \(2, 4, 4\) are those of 4 frames, not of clip \(8, 8, 8\)"):
        from_pretrained(path, source_clip=(8, 8, 8))


@pytest.mark.parametrize("form", ["state", "image"])
def test_models_without_learned_positions_are_refused_by_that(tmp_path, form):
    params = original.random_params(original.model_config("spacetime", "token"), (4, 8, 8))
    params = {name: array for name, array in params.items() if "posembed" not in name}
    if form == "image":
        params["embedding/kernel"] = params["embedding/kernel"][0]
    np.savez(tmp_path / "x.npz", **params)
    with pytest.raises(UserError, match="holds no learned positions"):
        from_pretrained(tmp_path / "x.npz", clip=(4, 8, 8))
