"""Lists of published sets that are damaged: clips come of them, or the one documented error."""

import films
import pytest
from hypothesis import example, given
from mutations import CHANGES, examples, mutated

from vivit_jax.data.layouts import Reading, read_layout
from vivit_jax.errors import UserError

EPIC = b"narration_id,participant_id,video_id,start_timestamp,stop_timestamp,verb_class,noun_class\n"
LISTS = {
    "kinetics": ("train.csv", b"label,youtube_id,time_start,time_end,split\nrun,a,0,1,train\nsit,b,1,2,validate\n", {}),
    "ssv2": (
        "train.json",
        b'[{"id": "a", "template": "Doing [x]"}, {"id": "b", "template": "No"}]',
        {"labels.json": '{"Doing x": 0, "No": "1"}'},
    ),
    "epic": ("EPIC_100_train.csv", EPIC + b"a_0,P01,a,00:00:00.1,00:00:01.5,3,4\nb_0,P02,b,0:01,0:02,0,299\n", {}),
    "ucf101": (
        "trainlist01.txt",
        b"Run/a.avi 1\nSit/b.avi 2\n",
        {"classInd.txt": "1 Run\n2 Sit\n", "testlist01.txt": "Run/c.avi\n"},
    ),
    "hmdb51": ("run_test_split1.txt", b"a.avi 1\nb.avi 2\nc.avi 0\n", {}),
    "moments": ("trainingSet.csv", b"run/a.mp4,run,3,0\nsit/b.mp4,sit,3,1\n", {"moments_categories.txt": "run,0\nsit,1\n"}),
    "sports1m": ("train_partition.txt", b"https://www.youtube.com/watch?v=a 0,1\nhttps://youtu.be/b 1\n", {"labels.txt": "run\nsit\n"}),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    for seed, name in enumerate("abc"):
        films.write(root / f"{name}.mp4", films.scene(6, 16, 16, seed))
    return root


@pytest.mark.fault(
    promise="A damaged list of a published set gives clips or one line",
    provoked="the list of each of seven sets with up to six mutations",
    seen="clips with distinct names, or one line",
    trials=210,
)
@pytest.mark.parametrize("layout", LISTS)
@examples(30)
@given(changes=CHANGES)
@example(changes=[("delete", 0.0, b"\0", 18), ("write", 0.0, b"../", 1)])  # UCF-101's list then names a video `..`.
def test_a_mutated_published_list(root, layout, changes):
    name, whole, others = LISTS[layout]
    folder = root / layout
    folder.mkdir(exist_ok=True)
    for other, text in others.items():
        (folder / other).write_text(text)
    (folder / name).write_bytes(mutated(whole, changes))
    try:
        found = read_layout(layout, root, Reading(annotations=(folder,), within=root))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert found.clips
        assert len({(clip.split, clip.name) for clip in found.clips}) == len(found.clips)
        assert all(clip.source.resolve().is_relative_to(root.resolve()) for clip in found.clips)
