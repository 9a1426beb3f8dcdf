import gc
import itertools
import os
import pathlib
import pickle
import subprocess
import sys
import threading

import films
import numpy as np
import pytest

from vivit_jax.data.cache import kept_decoded
from vivit_jax.data.config import AugmentConfig, DataConfig
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.pipeline import evaluation_batches, training_batches
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.data.readers import PIECE_BYTES
from vivit_jax.data.video.reader import decode_frames
from vivit_jax.errors import UserError
from vivit_jax.preprocess import Preprocess

COUNT = 11
PREPROCESS = Preprocess(frames=4, stride=2, resize=32, crop=(24, 24))
DATA = DataConfig(readers=2)
PLAIN = AugmentConfig(flip=0.0)
JITTER = AugmentConfig(flip=0.5, scale_jitter=(0.9, 1.3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pipeline")
    for number in range(COUNT):
        path = root / "videos" / "train" / "ab"[number % 2] / f"{number:02}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        films.write(path, films.scene(14 + number, 32, 40, number))
    prepare("folder", root / "videos", name="eleven", data_dir=root)
    return root


@pytest.fixture(scope="module")
def dataset(folder):
    return open_dataset("eleven", folder)


def train(dataset, count, data=DATA, augment=JITTER, **options):
    options = {"batch_size": 4, "seed": 3} | options
    batches = training_batches(dataset.source("train"), PREPROCESS, data, augment, **options)
    return list(itertools.islice(batches, count))


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_batches_have_the_agreed_form(dataset):
    (batch,) = train(dataset, 1)
    assert {key: (value.shape, value.dtype.name) for key, value in batch.items()} == {
        "video": ((4, 4, 24, 24, 3), "uint8"),
        "label": ((4,), "int32"),
        "index": ((4,), "int64"),
    }
    records = dataset.source("train")
    assert [records[index]["label"] for index in batch["index"]] == batch["label"].tolist()


def test_every_epoch_has_every_record_once_in_an_order_of_its_own(dataset):
    order = np.concatenate([batch["index"] for batch in train(dataset, 11)])
    epochs = order.reshape(4, COUNT)
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_clips_are_pixels_of_the_record(dataset):
    batch = train(dataset, 1, augment=PLAIN)[0]
    for clip, index in zip(batch["video"], batch["index"], strict=True):
        record = dataset.source("train")[int(index)]
        full = decode_frames(record["video"], range(record["frames"]))
        crops = np.lib.stride_tricks.sliding_window_view(full, (24, 24), axis=(1, 2))  # (t, y, x, c, 24, 24)
        found = [
            start
            for start in range(record["frames"] - 6)
            if (crops[start : start + 7 : 2].transpose(1, 2, 0, 4, 5, 3) == clip).all((2, 3, 4, 5)).any()
        ]
        assert found


def test_a_clip_changes_from_epoch_to_epoch_and_with_the_seed(dataset):
    def clip(batches, index, turn):
        return [b["video"][i] for b in batches for i in range(4) if b["index"][i] == index][turn]

    batches = train(dataset, 9)
    assert (clip(batches, 5, 0) != clip(batches, 5, 1)).any()
    assert (clip(batches, 5, 0) != clip(train(dataset, 9, seed=4), 5, 0)).any()
    assert_same(batches, train(dataset, 9))


@pytest.mark.fault(
    promise="Order and pixels do not depend on the number of readers",
    provoked="six batches by 1, 2 and 7 threads",
    seen="the same bytes",
    trials=3,
)
def test_order_and_pixels_do_not_depend_on_readers(dataset):
    expected = train(dataset, 6)
    for readers in (1, 7):
        assert_same(train(dataset, 6, data=DataConfig(readers=readers)), expected)


PROGRAM = """
import sys
import numpy as np
from vivit_jax.data import readers
from vivit_jax.data.config import AugmentConfig, DataConfig
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.pipeline import evaluation_batches, training_batches
from vivit_jax.preprocess import Preprocess

if __name__ == "__main__":
    folder, cache, piece_bytes = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    dataset, preprocess = open_dataset("eleven", folder), Preprocess(4, 2, 32, (24, 24))

    readers.PIECE_BYTES = piece_bytes
    data, augment = DataConfig(readers=1, processes=2, cache_gigabytes=cache), AugmentConfig(flip=0.5, scale_jitter=(0.9, 1.3))
    batches = training_batches(dataset.source("train"), preprocess, data, augment, batch_size=4, seed=3)
    trained = [next(batches) for _ in range(5)]
    print(batches.get_state())

    readers.PIECE_BYTES = 2 * 6 * preprocess.clip_bytes
    views = evaluation_batches(dataset.source("train"), preprocess, DataConfig(processes=2), views=(2, 3), batch_size=6)
    evaluated = list(views)
    print(views.readers, list(views.names.values()))

    for name, kept in (("trained", trained), ("evaluated", evaluated)):
        np.savez(f"{folder}/{name}.npz", **{f"{key} {number}": value for number, batch in enumerate(kept) for key, value in batch.items()})
"""


@pytest.mark.fault(
    promise="Neither training nor an evaluation depends on reader processes",
    provoked="a program that reads in processes, with and without a cache, and evaluates in two, whose last batch is not full",
    seen="the same bytes and names",
    trials=3,
)
@pytest.mark.parametrize(
    ("cache", "piece_bytes"), [pytest.param(0.0, PIECE_BYTES, marks=pytest.mark.slow), (0.01, 2 * PREPROCESS.clip_bytes)]
)
def test_batches_do_not_depend_on_processes(dataset, folder, tmp_path, cache, piece_bytes):
    """In a program of its own, which must end in silence though it keeps its batches."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, program, folder, str(cache), str(piece_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == ""

    def kept(name):
        arrays = np.load(folder / f"{name}.npz")
        batches = {}
        for key in arrays:
            field, number = key.split()
            batches.setdefault(int(number), {})[field] = arrays[key]
        return list(batches.values())

    views = evaluation_batches(dataset.source("train"), PREPROCESS, DATA, views=(2, 3), batch_size=6)
    assert_same(kept("trained"), train(dataset, 5))
    assert_same(kept("evaluated"), list(views))
    assert done.stdout.splitlines() == [
        "{'clips': 20}",
        f"Readers(threads=1, processes=2, piece=2) {list(views.names.values())}",
    ]


def test_pixels_are_the_same_from_memory(dataset):
    """From the second epoch on, all clips come from there; and videos shorter than the clip repeat their frames."""
    cached = DataConfig(readers=3, cache_gigabytes=0.01)
    assert_same(train(dataset, 9, data=cached), train(dataset, 9))
    assert_same(train(dataset, 9, data=cached, augment=EVERYTHING), train(dataset, 9, augment=EVERYTHING))
    long = Preprocess(frames=8, stride=4, resize=40, crop=(32, 48))
    first, second = (training_batches(dataset.source("train"), long, data, PLAIN, batch_size=11, seed=0) for data in (cached, DATA))
    assert_same([next(first), next(first)], [next(second), next(second)])
    source, views = dataset.source("train"), {"views": (2, 3), "flip": True, "batch_size": 4}
    kept, fresh = (evaluation_batches(records, long, DATA, **views) for records in (kept_decoded(source, 0.01, "train"), source))
    for _ in range(2):
        assert_same(list(kept), list(fresh))


class Watched:
    """Records that remember which were asked for."""

    def __init__(self, records):
        self.records, self.asked = [records[index] for index in range(len(records))], []

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        self.asked.append(index)
        return self.records[index]


def test_a_record_is_decoded_once_whoever_asks(dataset):
    watched = Watched(dataset.source("train"))
    decoded = kept_decoded(watched, 0.01, "train")
    watched.asked.clear()
    kept = [decoded[index]["video"] for index in (3, 7, 3, -4)]
    assert not any(frames.flags.writeable for frames in kept)
    other = pickle.loads(pickle.dumps(decoded)) if sys.platform == "linux" else decoded
    for index in (7, 5):
        record = watched.records[index]
        np.testing.assert_array_equal(other[index]["video"], decode_frames(record["video"], range(record["frames"])))
    np.testing.assert_array_equal(decoded[5]["video"], other[5]["video"])
    assert watched.asked == ([3, 7] if sys.platform == "linux" else [3, 7, 5])


@pytest.mark.skipif(sys.platform != "linux", reason="the memory is no file elsewhere")
def test_the_memory_is_given_back_with_the_records_that_lie_in_it(dataset):
    def files_of_frames():
        links = (link for link in pathlib.Path("/proc/self/fd").iterdir() if link.is_symlink())
        return sum("memfd:frames" in str(link.readlink()) for link in links)

    gc.collect()
    before = files_of_frames()
    decoded = kept_decoded(dataset.source("train"), 0.01, "train")
    assert files_of_frames() > before
    del decoded
    gc.collect()
    assert files_of_frames() == before


def test_a_split_that_does_not_fit_into_memory_is_decoded_anew_and_said_so(dataset, capsys):
    """Its 11 videos of 14 to 24 frames of 32 x 40 are 0.8 MB decoded."""
    needed = sum(3 * 32 * 40 * (14 + number) for number in range(COUNT))
    fitting = train(dataset, 1, data=DataConfig(cache_gigabytes=1.001e-9 * needed))
    assert not capsys.readouterr().out
    larger = train(dataset, 1, data=DataConfig(cache_gigabytes=0.0007))
    told = capsys.readouterr().out.replace("\n", " ")
    assert "cache_gigabytes 0.0007 does not hold the 11 videos of split train" in told
    np.testing.assert_array_equal(fitting[0]["video"], larger[0]["video"])
    with pytest.raises(UserError, match="cache_gigabytes must be at least 0"):
        DataConfig(cache_gigabytes=-1.0)


@pytest.mark.fault(
    promise="Hosts share each batch without overlap",
    provoked="several hosts on one machine",
    seen="each record once",
    trials=1,
)
def test_hosts_share_the_global_batch_without_overlap(dataset):
    whole = train(dataset, 6)
    parts = [train(dataset, 6, batch_size=2, shard=(host, 2)) for host in range(2)]
    for batch, *shares in zip(whole, *parts, strict=True):
        for key in batch:
            np.testing.assert_array_equal(np.stack([share[key] for share in shares], 1).reshape(batch[key].shape), batch[key])


@pytest.mark.parametrize("readers", [1, 5])
def test_a_stream_goes_on_from_its_state_with_any_number_of_readers(dataset, readers):
    expected = train(dataset, 7)
    first = training_batches(dataset.source("train"), PREPROCESS, DATA, JITTER, batch_size=4, seed=3)
    for _ in range(4):
        next(first)
    state = first.get_state()
    second = training_batches(dataset.source("train"), PREPROCESS, DataConfig(readers=readers), JITTER, batch_size=4, seed=3)
    next(second)
    second.set_state(state)
    assert_same([next(second) for _ in range(3)], expected[4:])
    assert state == {"clips": 16}


def test_controls_take_the_order_of_frames_away(dataset):
    still = train(dataset, 1, data=DataConfig(temporal_order="one_frame"), augment=PLAIN)[0]["video"]
    assert (still == still[:, :1]).all()
    forward = train(dataset, 3, augment=PLAIN)
    shuffled = train(dataset, 3, data=DataConfig(temporal_order="shuffled"), augment=PLAIN)
    assert any((one["video"] != other["video"]).any() for one, other in zip(forward, shuffled, strict=True))


def test_a_flip_turns_all_frames_of_a_clip(dataset):
    never = train(dataset, 3, augment=AugmentConfig(flip=0.0))
    always = train(dataset, 3, augment=AugmentConfig(flip=1.0))
    for one, other in zip(never, always, strict=True):
        np.testing.assert_array_equal(one["video"], other["video"][:, :, :, ::-1])


EVERYTHING = AugmentConfig(
    flip=0.5,
    scale_jitter=(0.9, 1.3),
    scale_jitter_independent=True,
    colour_jitter=0.8,
    greyscale=0.1,
    randaugment_layers=2,
    randaugment_magnitude=15,
    randaugment_geometric=True,
    erasing=0.5,
    repeats=2,
)


def test_every_augmentation_is_the_same_each_time_and_for_any_readers(dataset):
    expected = train(dataset, 4, augment=EVERYTHING)
    assert_same(train(dataset, 4, augment=EVERYTHING, data=DataConfig(readers=5)), expected)
    parts = [train(dataset, 4, augment=EVERYTHING, batch_size=2, shard=(host, 2)) for host in range(2)]
    for batch, *shares in zip(expected, *parts, strict=True):
        for key in ("video", "colours"):
            np.testing.assert_array_equal(np.stack([share[key] for share in shares], 1).reshape(batch[key].shape), batch[key])


def test_all_frames_of_a_clip_are_augmented_alike(dataset):
    still = DataConfig(temporal_order="one_frame")
    for batch in train(dataset, 6, data=still, augment=EVERYTHING):
        assert (batch["video"] == batch["video"][:, :1]).all()


def test_repeats_draw_each_record_in_a_row_augmented_anew(dataset):
    once = np.concatenate([batch["index"] for batch in train(dataset, 5)])
    batches = train(dataset, 5, augment=AugmentConfig(flip=0.5, scale_jitter=(0.9, 1.3), repeats=2))
    assert np.concatenate([batch["index"] for batch in batches]).tolist() == np.repeat(once, 2)[:20].tolist()
    clips = np.concatenate([batch["video"] for batch in batches])
    assert all((first != second).any() for first, second in zip(clips[::2], clips[1::2], strict=True))
    np.testing.assert_array_equal(clips[::2][:4], train(dataset, 1)[0]["video"])


def test_repeats_that_do_not_divide_the_batch_are_refused(dataset):
    with pytest.raises(UserError, match="repeats"):
        train(dataset, 1, augment=AugmentConfig(repeats=3))


@pytest.mark.fault(
    promise="The last partial batch of an evaluation is padded and masked",
    provoked="batches of 1, 4, 11 and 16 of 11 records",
    seen="each record once",
    trials=4,
)
@pytest.mark.parametrize("batch_size", [1, 4, 11, 16])
def test_evaluation_sees_every_record_once_and_pads_the_last_batch(dataset, batch_size):
    batches = evaluation_batches(dataset.source("train"), PREPROCESS, DATA, views=(2, 3), batch_size=batch_size)
    seen = list(batches)
    assert len(seen) == len(batches) == -(-COUNT // batch_size)
    assert all(batch["video"].shape == (batch_size, 6, 4, 24, 24, 3) for batch in seen)
    valid = np.concatenate([batch["valid"] for batch in seen])
    assert valid.dtype == bool
    assert valid.tolist() == [True] * COUNT + [False] * (len(valid) - COUNT)
    assert np.concatenate([batch["index"] for batch in seen])[valid].tolist() == list(range(COUNT))
    assert_same(list(batches), seen)


@pytest.mark.fault(
    promise="Hosts cover an evaluation once, disjointly",
    provoked="two, three and four hosts",
    seen="equally many batches; each record once",
    trials=3,
)
@pytest.mark.parametrize("hosts", [2, 3, 4])
def test_evaluation_hosts_have_equally_many_batches_and_cover_the_split_once(dataset, hosts):
    shares = [
        list(evaluation_batches(dataset.source("train"), PREPROCESS, DATA, batch_size=2, shard=(host, hosts))) for host in range(hosts)
    ]
    assert len({len(share) for share in shares}) == 1
    indices = [int(index) for share in shares for batch in share for index in batch["index"][batch["valid"]]]
    assert sorted(indices) == list(range(COUNT))


def test_evaluation_controls_are_the_same_every_time(dataset):
    data = DataConfig(temporal_order="shuffled")
    batches = evaluation_batches(dataset.source("train"), PREPROCESS, data, views=(2, 1), batch_size=4)
    assert_same(list(batches), list(batches))
    still = list(evaluation_batches(dataset.source("train"), PREPROCESS, DataConfig(temporal_order="one_frame"), batch_size=4))
    assert all((batch["video"] == batch["video"][:, :, :1]).all() for batch in still)


@pytest.mark.fault(
    promise="A record that cannot be decoded is never replaced by another",
    provoked="one record of a split is cut",
    seen="its name, in training and in evaluation",
    trials=3,
)
def test_a_record_that_cannot_be_decoded_is_named_not_replaced(dataset, monkeypatch):
    class Broken:
        def __init__(self, records):
            self.records = records

        def __len__(self):
            return len(self.records)

        def __getitem__(self, index):
            record = self.records[index]
            return record | {"video": record["video"][:700]} if index == 6 else record

    whole = type(dataset).source
    monkeypatch.setattr(type(dataset), "source", lambda self, split: Broken(whole(self, split)))
    name = dataset.source("train")[6]["name"]
    with pytest.raises(UserError, match=name):
        list(evaluation_batches(dataset.source("train"), PREPROCESS, DATA, batch_size=4))
    for data in (DATA, DataConfig(readers=2, cache_gigabytes=0.01)):
        with pytest.raises(UserError, match=name):
            train(dataset, 3, data=data)


def test_streams_that_are_dropped_end_their_threads(dataset):
    before = threading.active_count()
    for _ in range(3):
        train(dataset, 1)
    gc.collect()
    assert threading.active_count() <= before + 2
