"""No option is ignored: one that would change nothing this time is refused in one line that names it."""

import pytest
from toys import CONFIG, LABELS, PREPROCESS, random_variables

from vivit_jax import cli
from vivit_jax.weights.model_dir import save_pretrained


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("soup a b --to c --uniform --split test --views 4x3", "--split and --views have no effect with --uniform"),
        ("soup a b --to c --uniform --batch_size 8", "--batch_size has no effect with --uniform"),
        ("features --model m --out f.npz a.mp4 --split test", "--split has no effect for video files"),
        ("serve --model m --space s --host 0.0.0.0 --port 80", "--host and --port have no effect with --space"),
        ("serve --model m --space s --public", "--public has no effect with --space"),
        ("push --model m org/name --card c.md --private", "--private has no effect with --card"),
        ("bench --model m --mode infer --config.model.dtype=bfloat16", "--config.model.dtype has no effect with --model"),
        ("bench --config c.py --mode train --batch_size 4 --sweep batch_size=1,2", "--batch_size has no effect with --sweep batch_size"),
        ("prepare folder videos --name a --data_dir b --seed 1", "--seed has no effect without --split"),
        (
            "prepare folder videos --name a --data_dir b --beam --beam_options=--x=1 --workers 4",
            "--workers has no effect with --beam_options",
        ),
        ("inspect . --config.model.dtype=bfloat16", "--config.model.dtype has no effect without a config"),
        ("inspect --name toys --config.seed 1", "--config.seed has no effect without a config"),
        ("inspect . --batch b.png", "--batch has no effect without a config"),
        ("inspect c.py --sheet s.png", "--sheet has no effect without --name"),
        ("inspect c.py --batch b.png --data_dir d", "--data_dir has no effect for a config"),
        ("inspect --keys warmup --name toys", "--name has no effect with --keys"),
        ("inspect --keys=warmup c.py", "--keys lists the keys of any config"),
        ("train --config c.py --workdir w --fold_seed 1", "have no effect without --folds"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(command, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(command.split()) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("evaluate", "--workdir", "w", "--split", ""), "--split is empty"),
        (("evaluate", "--model", "m", "--name=", "--data_dir", "d"), "--name is empty"),
        (("prepare", "folder", "v", "--name", "a", "--data_dir", ""), "--data_dir is empty"),
        (("predict", "--model", "m", ""), "VIDEO is empty"),
        (("predict", "--model", "m", "--list", "", "a.mp4"), "--list is empty"),
        (("train", "--config", "", "--workdir", "w"), "--config is empty"),
        (("convert", "vit.npz", "--to", "m", "--stride", "0"), "--stride: must be a whole number of at least 1"),
        (("convert", "vit.npz", "--to", "m", "--norm_eps", "0"), "--norm_eps: must be a number above 0"),
        (("features", "--model", "m", "a.mp4", "--out", "."), "--out: . is a folder: name a file in it"),
        (("bench", "--model", "m", "--mode", "infer", "--json", ""), "--json: . is a folder"),
    ],
)
def test_an_empty_or_impossible_value_is_no_default(command, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(list(command)) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_option_counts_as_given_whatever_its_value():
    given = cli.parse("serve", ["--model", "m", "--port=8000", "--host", "127.0.0.1"])[1].given
    assert given == {"model", "port", "host"}
    assert cli.parse("predict", ["--model", "m", "--", "--window"])[1].given == {"model"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--num_heads", "2"), "num_heads is for sources whose files do not tell it"),
        (("--source_clip", "4,16,16"), "source_clip is for sources whose files do not tell it"),
    ],
)
def test_convert_refuses_what_would_change_nothing(options, told, tmp_path, capsys):
    save_pretrained(tmp_path / "model", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS)
    assert cli.main(["convert", str(tmp_path / "model"), "--to", str(tmp_path / "new"), *options]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--factorisation", "spatio_temporal_attention", "--temporal_layers", "2"), "--temporal_layers is not used"),
        (("--attention_order", "time_space"), "--attention_order is not used"),
        (("--temporal_attention", "copy"), "--temporal_attention is not used"),
    ],
)
def test_convert_warns_of_what_is_for_another_factorisation(options, told, tmp_path, capsys):
    save_pretrained(tmp_path / "model", CONFIG, random_variables(CONFIG), PREPROCESS, LABELS)
    assert cli.main(["convert", str(tmp_path / "model"), "--to", str(tmp_path / "new"), *options]) == 0
    assert f"warning: {told}" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "new" / "config.json").exists()
