"""The command and `from_pretrained`: what is inferred, what is asked for by name, what is carried along."""

import argparse
import dataclasses
import json

import flax.serialization
import flax.traverse_util
import jax
import numpy as np
import pytest
from image_vit import random_vit
from random_variables import random_variables

from vivit_jax.commands import convert as command
from vivit_jax.errors import UserError
from vivit_jax.models.families import create_model
from vivit_jax.models.vivit.config import FACTORISATIONS
from vivit_jax.preprocess import Preprocess
from vivit_jax.weights import from_pretrained, load_model_dir, save_pretrained
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.initialise import initialise
from vivit_jax.weights.layers import flatten
from vivit_jax.weights.vit.backbone import SourceOptions
from vivit_jax.weights.vit.source import read_source

WIDTHS = {"hidden_size": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 16}
VIDEO = {"tubelet": (2, 4, 4), "clip": (4, 12, 12), "num_classes": 3, "temporal_layers": 1}


def vivit_convert(*arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(argument) for argument in arguments]))


def own_model(path, labels=("a", "b", "c"), **options):
    """A model directory of random parameters, none of them zero."""
    model = create_model(**(WIDTHS | VIDEO | options))
    preprocess = Preprocess(frames=model.config.clip[0], stride=3, resize=14, crop=model.config.clip[1:], mean=(0.1, 0.2, 0.3))
    return save_pretrained(path, model.config, random_variables(model.config), preprocess, labels)


def scenic(path, weights):
    tree = flax.traverse_util.unflatten_dict(weights, sep="/")
    path.write_bytes(flax.serialization.msgpack_serialize({"optimizer": {"target": tree}}))
    return path


@pytest.fixture
def vit(tmp_path):
    np.savez(tmp_path / "vit.npz", **random_vit(classes=5))
    return tmp_path / "vit.npz"


def test_the_command_writes_a_model_and_a_table_of_what_became_of_each_group(vit, tmp_path, capsys):
    vivit_convert(vit, "--to", tmp_path / "m", "--factorisation", "factorised_encoder", "--clip", "4,12,8", "--num_classes", 3)
    printed = capsys.readouterr().out
    for line in (
        "1 to 2 frames, central_frame",
        "3 x 3 to 3 x 2 by linear resizing",
        "copied, with its position",
        "random",
        "the head is fresh",
        "Transformer/encoderblock_*",  # where it came from, under the source's own names
        "Transformer/posembed_input/pos_embedding (1 x 3 x 3)",
        "embedding/*",
    ):
        assert line in printed
    assert all(line == line.rstrip() for line in printed.splitlines())
    pretrained = load_model_dir(tmp_path / "m")
    assert (pretrained.model.config.tubelet, pretrained.model.config.activation) == ((2, 4, 4), "gelu_tanh")
    assert pretrained.preprocess == Preprocess(frames=4, stride=2, resize=9, crop=(12, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give factorisation"),
        (("--factorisation", "factorised_encoder"), r"of 12 x 12 pixels in patches of 4x4: give clip"),
        (
            ("--factorisation", "factorised_encoder", "--clip", "4,12,12", "--tubelet", "2,6,6"),
            r"which has tubelet \(2, 6, 6\): set model.tubelet to \(2, 4, 4\) as in the source",
        ),
        (("--factorisation", "factorised_encoder", "--clip", "4,12,12", "--head", "keep", "--num_classes", "4"), "head cannot be kept"),
    ],
)
def test_what_an_image_model_cannot_say_is_asked_for_by_name(vit, tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        vivit_convert(vit, "--to", tmp_path / "m", *arguments)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("options", [{"old_names": True}, {"pre_logits": True}, {"cls": False}, {"classes": 4}])
def test_old_names_and_new_are_the_same_model(tmp_path, options):
    np.savez(tmp_path / "vit.npz", **random_vit(**options))
    np.savez(tmp_path / "plain.npz", **random_vit(**{key: value for key, value in options.items() if key == "cls"}))
    backbone, plain = (read_source(tmp_path / name, SourceOptions()) for name in ("vit.npz", "plain.npz"))
    for path, array in plain.params.items():
        np.testing.assert_array_equal(backbone.params[path], array)
    assert bool(backbone.why_headless) == ("pre_logits" in options)


@pytest.mark.parametrize("scanned", [False, True])
def test_big_vision_adds_positions_before_the_cls_token(tmp_path, scanned):
    weights = random_vit()
    positions = weights.pop("Transformer/posembed_input/pos_embedding")
    weights["pos_embedding"] = positions[:, 1:]
    if scanned:
        blocks = [name for name in weights if "encoderblock_0/" in name]
        for name in blocks:
            other = name.replace("_0/", "_1/", 1)
            weights[name.replace("encoderblock_0", "encoderblock")] = np.stack([weights.pop(name), weights.pop(other)])
    np.savez(tmp_path / "bv.npz", **{f"params/{name}": array for name, array in weights.items()}, **{"opt/0/count": np.zeros(())})
    backbone = read_source(tmp_path / "bv.npz", SourceOptions())
    np.testing.assert_array_equal(backbone.params["position"].reshape(9, 8), positions[0, 1:])
    assert not backbone.params["cls_position"].any()
    assert backbone.num_layers == 2


def test_the_table_names_positions_that_are_left_out_as_the_source_does(tmp_path, capsys):
    weights = random_vit()
    ready = "Transformer/posembed_input/pos_embedding_5x5"
    np.savez(tmp_path / "vit.npz", **weights, **{ready: np.zeros((1, 26, weights["cls"].shape[-1]), np.float32)})
    vivit_convert(tmp_path / "vit.npz", "--to", tmp_path / "m", "--factorisation", "factorised_encoder", "--clip", "4,12,8")
    assert f"{ready} " in capsys.readouterr().out


@pytest.mark.slow
def test_the_image_model_of_big_visions_image_and_text_models_is_read_and_the_rest_is_listed(tmp_path, capsys):
    weights = random_vit(cls=False)
    weights["pos_embedding"] = weights.pop("Transformer/posembed_input/pos_embedding")
    weights |= {"MAPHead_0/probe": np.zeros((1, 1, 8)), "head/kernel": np.zeros((8, 3)), "head/bias": np.zeros(3)}
    beside = {"params/txt/Encoder_0/pos_embedding": np.zeros(3), "params/t": np.zeros(1), "opt/0/count": np.zeros((), np.int32)}
    np.savez(tmp_path / "siglip.npz", **{f"params/img/{name}": array for name, array in weights.items()}, **beside)
    vivit_convert(tmp_path / "siglip.npz", "--to", tmp_path / "m", "--factorisation", "factorised_encoder", "--clip", "4,12,12")
    printed = capsys.readouterr().out
    for line in ("the text model", "training state", "attention pooling, which a ViViT does not have"):
        assert line in printed
    assert load_model_dir(tmp_path / "m").model.config.pool == "mean"


def test_our_own_model_stays_itself_bit_by_bit(tmp_path):
    source = load_model_dir(
        own_model(tmp_path / "a", factorisation="factorised_self_attention", attention_order="time_space", temporal_layers=4)
    )
    vivit_convert(tmp_path / "a", "--to", tmp_path / "b")
    copy = load_model_dir(tmp_path / "b")
    assert (copy.model.config, copy.preprocess, copy.labels) == (source.model.config, source.preprocess, source.labels)
    jax.tree.map(np.testing.assert_array_equal, copy.variables, source.variables)


def test_blocks_that_attend_in_another_order_than_the_source_are_refused(tmp_path):
    own_model(tmp_path / "a", factorisation="factorised_self_attention", attention_order="time_space")
    model = create_model(**(WIDTHS | VIDEO), factorisation="factorised_self_attention").config  # space_time, unless told otherwise
    with pytest.raises(UserError, match=r"set model\.attention_order to time_space as in the source"):
        initialise(model, InitConfig(source=str(tmp_path / "a")), 0)
    told = dataclasses.replace(model, attention_order="time_space")
    assert initialise(told, InitConfig(source=str(tmp_path / "a")), 0).model.attention_order == "time_space"


def test_a_head_that_reads_another_feature_is_not_kept(tmp_path):
    own_model(tmp_path / "a", factorisation="spatio_temporal_attention")
    to_mean = (tmp_path / "a", "--to", tmp_path / "b", "--pool", "mean")
    with pytest.raises(UserError, match=r"it reads tokens pooled by token, and the model pools by mean: set pool to token, or head"):
        vivit_convert(*to_mean)
    vivit_convert(*to_mean, "--head", "fresh")
    assert not load_model_dir(tmp_path / "b").variables["params"]["head"]["kernel"].any()


@pytest.mark.parametrize(
    ("asked", "kept", "told"),
    [
        ((), {"rate": 7.5, "stride": 3, "padding": "hold"}, "rate 7.5"),
        (("--stride", 4), {"stride": 4, "padding": "hold"}, "stride 4"),
    ],
)
def test_a_stride_takes_the_place_of_the_rate_and_of_nothing_else(tmp_path, capsys, asked, kept, told):
    own = load_model_dir(own_model(tmp_path / "a"))
    dataclasses.replace(own, preprocess=dataclasses.replace(own.preprocess, rate=7.5, padding="hold")).save(tmp_path / "a")
    vivit_convert(tmp_path / "a", "--to", tmp_path / "b", *asked)
    found = load_model_dir(tmp_path / "b").preprocess.to_dict()
    assert {name: found.get(name) for name in ("rate", "stride", "padding") if name in found} == kept
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param(source, target, marks=[] if "factorised_encoder" in (source, target) else pytest.mark.slow)
        for source in FACTORISATIONS
        for target in FACTORISATIONS
    ],
)
def test_every_factorisation_becomes_every_other_at_another_clip_and_class_count(tmp_path, source, target):
    own_model(tmp_path / "a", factorisation=source)
    vivit_convert(
        tmp_path / "a",
        "--to",
        tmp_path / "b",
        "--factorisation",
        target,
        "--clip",
        "8,8,16",
        "--num_classes",
        "verb=2,noun=4",
        "--tubelet",
        "4,4,4",
    )
    converted = load_model_dir(tmp_path / "b")
    logits = jax.eval_shape(converted.model.apply, converted.variables, np.ones((1, 8, 8, 16, 3), np.float32))
    assert {name: value.shape for name, value in logits.items()} == {"verb": (1, 2), "noun": (1, 4)}
    before, after = load_model_dir(tmp_path / "a").variables["params"], converted.variables["params"]
    np.testing.assert_allclose(after["tokenizer"]["kernel"].sum(axis=0), before["tokenizer"]["kernel"].sum(axis=0), atol=1e-6)


def test_a_longer_clip_at_the_same_size_resizes_time_alone_and_keeps_the_head(tmp_path):
    own_model(tmp_path / "a", factorisation="spatio_temporal_attention")
    vivit_convert(tmp_path / "a", "--to", tmp_path / "b", "--clip", "8,12,12", "--position_resize", "linear")
    before, after = (flatten(load_model_dir(tmp_path / name).variables["params"]) for name in "ab")
    grid = after["transformer/encoder/position"][1:].reshape(4, 9, 8)
    old = before["transformer/encoder/position"][1:].reshape(2, 9, 8)
    np.testing.assert_allclose(grid, np.stack([old[0], old[0] * 2 / 3 + old[1] / 3, old[0] / 3 + old[1] * 2 / 3, old[1]]), atol=1e-6)
    np.testing.assert_array_equal(after["head/kernel"], before["head/kernel"])
    assert load_model_dir(tmp_path / "b").labels == ("a", "b", "c")


def as_scenic(weights, kernel_time=2, positions=(2, 9), cls=False):
    """Google's names as the original ViViT has them for Models 1 and 4."""
    rng = np.random.default_rng(1)
    out = {name: array for name, array in weights.items() if name != "cls" or cls}
    if kernel_time:
        out["embedding/kernel"] = rng.normal(size=(kernel_time, 4, 4, 3, 8)).astype(np.float32)
    out["Transformer/posembed_input/pos_embedding"] = rng.normal(size=(1, positions[0] * positions[1] + cls, 8)).astype(np.float32)
    out |= {"output_projection/kernel": rng.normal(size=(8, 3)).astype(np.float32), "output_projection/bias": np.zeros(3, np.float32)}
    return out


def test_models_1_and_4_of_the_original_are_told_apart_by_name(tmp_path):
    path = scenic(tmp_path / "checkpoint", as_scenic(random_vit()))
    with pytest.raises(UserError, match="Model 1 and of Model 4: give factorisation"):
        from_pretrained(path, clip=(4, 12, 12))
    for factorisation in ("spatio_temporal_attention", "factorised_dot_product_attention"):
        config = from_pretrained(path, clip=(4, 12, 12), factorisation=factorisation, pool="max").model.config
        assert (config.factorisation, config.pool) == (factorisation, "max")


def test_the_order_of_model_3_and_the_clip_are_asked_for_by_name(goldens, tmp_path):
    arrays = np.load(goldens / "factorized_self_attention_block.npz")
    weights = {name.removeprefix("params/"): arrays[name] for name in arrays.files if name.startswith("params/")}
    path = scenic(tmp_path / "checkpoint", weights)
    with pytest.raises(UserError, match="give attention_order"):
        from_pretrained(path, clip=(4, 32, 32))
    with pytest.raises(UserError, match="8 positions divide into time, height and width is not known: give the clip"):
        from_pretrained(path, attention_order="space_time")


def test_uniform_frame_sampling_of_the_original_is_read_with_its_frames(tmp_path):
    path = scenic(tmp_path / "checkpoint", as_scenic(random_vit(), kernel_time=None, positions=(3, 9), cls=True))
    config = from_pretrained(path, clip=(12, 12, 12), tokenizer="frames").model.config
    assert (config.tokenizer, config.grid, config.tubelet) == ("frames", (3, 3, 3), (4, 4, 4))
    assert from_pretrained(path, clip=(10, 12, 12), tokenizer="frames").model.config.sampled_frames == 3
    with pytest.raises(UserError, match=r"image model|do not form a square"):
        from_pretrained(path, clip=(12, 12, 12))


@pytest.mark.slow
def test_the_spatial_only_baseline_has_no_temporal_layers(goldens, tmp_path):
    arrays = np.load(goldens / "factorized_encoder.npz")
    weights = {name.removeprefix("params/"): arrays[name] for name in arrays.files if name.startswith("params/") and "Temporal" not in name}
    pretrained = from_pretrained(scenic(tmp_path / "checkpoint", weights), clip=(4, 32, 32))
    assert pretrained.model.config.temporal_layers == 0
    features = pretrained.model.apply(pretrained.variables, arrays["input"])
    assert features.shape == (2, 7)


def test_several_heads_are_split_off_the_originals_one(tmp_path):
    weights = as_scenic(random_vit(), cls=True)
    path = scenic(tmp_path / "checkpoint", weights)
    params = from_pretrained(path, clip=(4, 12, 12), num_classes={"verb": 1, "noun": 2}).variables["params"]
    np.testing.assert_array_equal(params["head_noun"]["kernel"], weights["output_projection/kernel"][:, 1:])


def test_an_image_model_and_an_unknown_option_are_refused_by_from_pretrained(vit):
    with pytest.raises(UserError, match="is an image model: make a ViViT of it"):
        from_pretrained(vit, clip=(4, 12, 12))
    with pytest.raises(UserError, match="did you mean 'factorisation'"):
        from_pretrained(vit, factorization="x")


@pytest.mark.parametrize("format", [name for name in command.FORMATS if name not in ("auto", "google_vit", "scenic")])
def test_a_format_that_is_not_the_files_is_refused_in_one_line(vit, tmp_path, format):
    """Scenic's own image models have Google's names."""
    with pytest.raises(UserError, match=str(vit)):
        from_pretrained(vit, format=format, factorisation="factorised_encoder", clip=(4, 12, 12), num_classes=3, tokenizer="frames")
    if format != "vivit_jax":
        with pytest.raises(UserError, match=f"is a model directory of vivit_jax, not of format {format}"):
            from_pretrained(own_model(tmp_path / "own"), format=format)
    np.savez(tmp_path / "odd.npz", bias=np.zeros(3, np.float32))
    with pytest.raises(UserError, match=r"odd\.npz"):
        from_pretrained(tmp_path / "odd.npz", format=format)


def test_what_the_source_was_trained_with_comes_along_unless_told_otherwise(vit, tmp_path):
    base = (vit, "--to", tmp_path / "m", "--factorisation", "spatio_temporal_attention", "--clip", "4,12,12")
    vivit_convert(*base, "--activation", "gelu", "--norm_eps", "1e-5", "--mean", "0.4,0.5,0.6", "--std", "0.1,0.2,0.3")
    pretrained = load_model_dir(tmp_path / "m")
    assert (pretrained.model.config.activation, pretrained.model.config.norm_eps) == ("gelu", 1e-5)
    assert (pretrained.preprocess.mean, pretrained.preprocess.std) == ((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))


def hub_cache(cache, repository, files):
    """A cache laid out as huggingface_hub does: blobs, a snapshot that links to them, and the reference of main."""
    root, revision = cache / ("models--" + repository.replace("/", "--")), "0123456789abcdef0123456789abcdef01234567"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(revision)
    (root / "blobs").mkdir()
    (root / "snapshots" / revision).mkdir(parents=True)
    for name, content in files.items():
        (root / "blobs" / name).write_bytes(content)
        (root / "snapshots" / revision / name).symlink_to(f"../../blobs/{name}")
    return revision


def test_hf_sources_come_from_the_hubs_cache_while_offline(tmp_path, monkeypatch):
    own_model(tmp_path / "model")
    files = {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()}
    revision = hub_cache(tmp_path / "cache", "someone/vivit", files)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    expected = load_model_dir(tmp_path / "model")
    for source in ("hf://someone/vivit", f"hf://someone/vivit@{revision}"):
        pretrained = from_pretrained(source)
        assert pretrained.labels == expected.labels
        jax.tree.map(np.testing.assert_array_equal, pretrained.variables, expected.variables)
    with pytest.raises(UserError, match="offline, only files in the cache are found"):
        from_pretrained("hf://someone/else")
    with pytest.raises(UserError, match="must be hf://organisation/name"):
        from_pretrained("hf://nobody")


def test_a_config_beside_the_weights_that_is_not_json_is_named(tmp_path, vit):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json cannot be read as JSON"):
        read_source(vit, SourceOptions())
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "x"}))
    read_source(vit, SourceOptions())
