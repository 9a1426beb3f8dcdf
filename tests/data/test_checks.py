"""What misleads about a data set is told before a run: validation on what is trained on, and videos enlarged after they were made small."""

import films
import pytest

from vivit_jax.data.config import DataConfig
from vivit_jax.data.dataset import check_splits, open_dataset, warn_of_enlarging
from vivit_jax.data.preparation.prepare import prepare


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Ten videos to train on and two to test, of 48x64 pixels, stored with a short side of 32."""
    root = tmp_path_factory.mktemp("small")
    for split, count in (("train", 10), ("test", 2)):
        (root / f"videos/{split}/a").mkdir(parents=True)
        for number in range(count):
            films.write(root / f"videos/{split}/a/{number}.mp4", films.scene(4, seed=number + 10 * (split == "test")))
    prepare("folder", root / "videos", name="small", data_dir=root, workers=1, short_side=32)
    return open_dataset("small", root)


@pytest.mark.parametrize(
    ("train", "val", "both"),
    [
        ("train", "train[80%:]", "2 of 2 clips of data.val_split train[80%:]"),
        ("train[:90%]", "train[70%:]", "2 of 3 clips"),
        ("all@not1of3", "all", "8 of 12 clips"),
        ("train[:80%]", "train[80%:]", None),
        ("all@not1of3", "all@fold1of3", None),
        ("train", "test", None),
    ],
)
def test_validation_on_what_is_trained_on_is_told(small, capsys, train, val, both):
    check_splits(small, DataConfig(train_split=train, val_split=val, test_split=None, resize=32))
    told = " ".join(capsys.readouterr().out.split())
    assert ("are trained on as well" in told) == (both is not None)
    assert both is None or both in told


def test_videos_that_are_enlarged_again_are_told(small, capsys):
    warn_of_enlarging(small, 32)
    assert not capsys.readouterr().out
    warn_of_enlarging(small, 48)
    assert "stored with a short side of 32 pixels and are enlarged to 48" in " ".join(capsys.readouterr().out.split())
