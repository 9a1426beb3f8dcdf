"""What only some families can do is refused of a ResNet in one line; test_families.py runs all that every family can."""

import pytest
from toys import LABELS, PREPROCESS, random_variables

from vivit_jax.models.families import make_config
from vivit_jax.weights.model_dir import save_pretrained


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    config = make_config("resnet3d", {"architecture": "mc3_18", "width": 2, "clip": (4, 16, 16), "num_classes": len(LABELS)})
    return save_pretrained(tmp_path_factory.mktemp("resnet3d") / "model", config, random_variables(config), PREPROCESS, LABELS)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("export", "--model", "MODEL", "--to", "torchvision", "ours.pth"), "has width 64 only"),
        (("export", "--model", "MODEL", "--to", "hugging_face", "theirs"), "stablehlo"),
        (("convert", "MODEL", "--to", "again", "--num_classes", "2"), "only a ViViT can be made into another"),
    ],
)
def test_what_it_cannot_do_is_refused_in_one_line(narrow, vivit, tmp_path, monkeypatch, command, told):
    monkeypatch.chdir(tmp_path)
    code, _, err = vivit(*(narrow if argument == "MODEL" else argument for argument in command))
    assert (code, err.count("\n")) == (2, 1)
    assert told in err
    assert not list(tmp_path.iterdir())
