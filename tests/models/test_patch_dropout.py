"""PatchDropout (Liu et al. 2023) in training: which patches a step keeps, and that it computes what a model of these alone would.

Which they are is seen from outside, by the gradients of the pixels.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from vivits import random_parameters, random_video

from vivit_jax.errors import UserError
from vivit_jax.models.families import create_model

SMALL = {"hidden_size": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 12, "tubelet": (2, 4, 6), "clip": (6, 12, 18), "num_classes": 5}
GRID, PLACES = (3, 9), 9
# What is left out of 3 times of 9 places, and how many patches of a clip then stay: one more where that makes an odd sequence even.
CASES = {
    "joint, cls, token": ({"factorisation": "spatio_temporal_attention", "patch_dropout": 0.5}, 15),
    "joint, mean, tube": (
        {"factorisation": "spatio_temporal_attention", "pool": "mean", "patch_dropout": 0.7, "patch_dropout_by": "tube"},
        12,
    ),
    "encoder, cls, token": ({"factorisation": "factorised_encoder", "temporal_layers": 1, "patch_dropout": 0.25}, 21),
    "encoder, mean, tube": (
        {"factorisation": "factorised_encoder", "temporal_layers": 0, "pool": "mean", "patch_dropout": 0.5, "patch_dropout_by": "tube"},
        12,
    ),
    "self-attention, tube": ({"factorisation": "factorised_self_attention", "patch_dropout": 0.8}, 6),
    "dot product, tube": ({"factorisation": "factorised_dot_product_attention", "pool": "mean_then_norm", "patch_dropout": 0.5}, 12),
}
QUICK = ("joint, cls, token", "self-attention, tube")


@functools.cache
def trained(case: str):
    """A model, its parameters, three clips that are the same, the logits of a training step, and which of the patches have a gradient."""
    model = create_model(**SMALL | CASES[case][0])
    params, video = random_parameters(model), np.repeat(random_video(model, batch=1), 3, axis=0)

    def summed(video):
        logits = model.apply({"params": params}, video, train=True, rngs={"dropout": jax.random.key(5)})
        return (logits * jnp.arange(1.0, 6.0)).sum(), logits

    gradient, logits = jax.jit(jax.grad(summed, has_aux=True))(video)
    patches = np.asarray(gradient).reshape(3, 3, 2, 3, 4, 3, 6, 3).transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(3, *GRID, -1)
    seen = (patches != 0).any(axis=-1)
    assert (patches[~seen] == 0).all()
    assert (patches[seen] != 0).mean() > 0.99
    return model, params, video, logits, seen


@pytest.fixture(params=[case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES])
def case(request):
    return request.param


def test_a_step_sees_the_same_number_of_patches_of_every_clip_each_its_own(case):
    """Pixels of the others have no gradient at all."""
    seen, (options, count) = trained(case)[-1], CASES[case]
    assert (seen.sum(axis=(1, 2)) == count).all()
    if options["factorisation"] != "spatio_temporal_attention" or options.get("patch_dropout_by") == "tube":
        assert (seen.sum(axis=2) == count // 3).all()
    same_place = (seen == seen[:, :1]).all()
    assert same_place == case.endswith("tube")
    assert len({clip.tobytes() for clip in seen}) == 3


def test_a_step_computes_what_the_numpy_reference_does_of_the_patches_it_sees(case):
    model, params, video, logits, seen = trained(case)
    expected = reference.forward(jax.tree.map(np.float64, params), video, model.config.to_dict() | {"kept": seen})
    np.testing.assert_allclose(logits, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


def test_evaluation_is_the_same_program():
    video = jax.ShapeDtypeStruct((1, *SMALL["clip"], 3), jnp.float32)
    models = [create_model(**SMALL, patch_dropout=share) for share in (0.5, 0.0)]
    params = jax.eval_shape(models[0].init, jax.random.key(0), video)
    for train, same in ((False, True), (True, False)):
        dropping, whole = (
            jax.make_jaxpr(functools.partial(each.apply, train=train, rngs={"dropout": jax.random.key(0)}))(params, video)
            for each in models
        )
        assert (str(dropping) == str(whole)) == same


def test_every_patch_is_kept_equally_often():
    """Of 9 places 4 stay; the binomial's deviation over 4096 draws is 32."""
    model = create_model(**SMALL, factorisation="factorised_encoder", pool="mean", patch_dropout=0.55)
    tokens = jnp.broadcast_to(jnp.eye(PLACES), (4096, *GRID, PLACES))
    kept = jax.jit(model.config.kept_patches)(jax.random.key(0), tokens)
    assert kept.shape == (4096, 3, 4, PLACES)
    often = np.asarray(kept.sum(axis=(0, 2)))
    assert np.abs(often - 4096 * 4 / 9).max() < 5 * 32
    together = np.asarray(jnp.einsum("btkn,btkm->nm", kept.sum(axis=2)[:, :, None], kept.sum(axis=2)[:, :, None]))
    pairs = together[~np.eye(PLACES, dtype=bool)]
    assert np.abs(pairs - 3 * 4096 * 4 * 3 / (9 * 8)).max() < 5 * np.sqrt(3 * 4096 / 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factorisation": "factorised_self_attention", "patch_dropout_by": "token"}, "at all its times.*to tube, got token"),
        ({"factorisation": "factorised_dot_product_attention", "patch_dropout_by": "token"}, "at all its times.*to tube, got token"),
        ({"pool": "sum"}, "pool sum.*set it to mean"),
        ({"patch_dropout": 0.01}, r"model\.patch_dropout 0\.01 leaves out none of 27 places"),
        ({"patch_dropout": 1.0}, r"model\.patch_dropout must be in \[0, 1\), got 1\.0"),
        ({"patch_dropout_by": "tubes"}, "patch_dropout_by.*tubes.*tube"),
    ],
)
def test_what_cannot_be_left_out_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        create_model(**SMALL | {"patch_dropout": 0.5} | options)


def test_a_family_without_tokens_has_no_such_key():
    with pytest.raises(UserError, match="patch_dropout"):
        create_model(family="resnet3d", patch_dropout=0.5)
