"""The recipe of the six MedMNIST sets of volumes: its models, and along which axes it may flip which set."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from vivit_jax.config_file import read_config
from vivit_jax.errors import UserError

CONFIG = Path(__file__).parents[1] / "configs" / "medmnist3d.py"
SETS = ("organ", "nodule", "fracture", "adrenal", "vessel", "synapse")


def experiment_of(argument):
    return read_config(f"{CONFIG}:{argument}", {})


@pytest.mark.parametrize("which", SETS)
@pytest.mark.parametrize("model", ["", ",keras", ",augmented", ",small_tubelets"])
def test_tubelets_fill_the_clip_and_the_clip_fits_the_volume(which, model):
    for argument, size in ((which + model, 28), (f"{which},64{model}", 64)):
        experiment = experiment_of(argument)
        assert experiment.data.name == f"{which}mnist3d" + ("_64" if size == 64 else "")
        assert not any(np.mod(experiment.model.clip, experiment.model.tubelet))
        assert max(experiment.model.clip) <= size == experiment.data.resize


@pytest.mark.parametrize("which", SETS)
@pytest.mark.parametrize("model", ["augmented", "small_tubelets"])
def test_a_set_is_flipped_only_where_its_classes_or_its_shapes_stay(which, model):
    augment = experiment_of(f"{which},{model}").augment
    axes = {"organ": (0.0, 0.0, 0.0), "adrenal": (0.5, 0.0, 0.0)}.get(which, (0.5, 0.5, 0.5))
    assert (augment.flip_time, augment.flip_vertical, augment.flip) == axes


def test_glands_are_mirrored_along_their_first_axis_alone(shared_data):
    """Left and right adrenals: some other gland resembles a gland that is mirrored along the first axis, and none if along the others."""
    with np.load(shared_data / "adrenalmnist3d/adrenalmnist3d.npz") as archive:
        glands = (archive["train_images"][:120] > 0).astype(np.float32)
    flat = glands.reshape(120, -1)

    def nearest(seen):  # the Dice coefficient with the most similar other gland, in the mean
        dice = 2 * seen.reshape(120, -1) @ flat.T / (flat.sum(1)[:, None] + flat.sum(1))
        np.fill_diagonal(dice, 0)
        return dice.max(1).mean()

    first, second, third = (nearest(np.flip(glands, axis)) for axis in (1, 2, 3))
    assert nearest(glands) > first > max(second, third) + 0.1


def test_augmented_is_the_default_and_has_the_model_of_the_keras_example():
    by_itself, by_name, keras = (experiment_of(argument) for argument in ("adrenal", "adrenal,augmented", "adrenal,keras"))
    assert dataclasses.replace(by_itself, name=by_name.name) == by_name
    model = keras.model
    assert (model.clip, model.tubelet) == (by_itself.model.clip, by_itself.model.tubelet) == ((24, 24, 24), (8, 8, 8))
    assert (model.hidden_size, model.num_layers, model.num_heads, model.mlp_dim) == (128, 8, 8, 512)


@pytest.mark.parametrize("argument", ["adrenal,big", "adrenal,keras,small_tubelets", "adrenal,32"])
def test_other_arguments_are_refused(argument):
    with pytest.raises(UserError, match="after the set may come 64 and one of"):
        experiment_of(argument)
