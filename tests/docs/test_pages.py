"""The commands of the pages, each page's in its order as a reader pastes them, on tiny videos and tiny models.

What cannot be run here stands in `ELSEWHERE` with the reason. A command that is neither run nor there fails, as does a reason for a
command that is gone. The blocks of README.md have a test of their own, and those of docs/gallery.md are run by tests/test_recipes_run.py.
"""

import csv
import dataclasses
import fnmatch
import itertools
import pathlib
import re
import shlex
import shutil
from collections.abc import Callable

import flax.serialization
import flax.traverse_util
import numpy as np
import original
import pytest
import small_sets
import written_runs
from image_vit import random_vit
from terminal import FEW_PASSES, ROOT, in_blocks, in_sentences
from toys import CONFIG, PREPROCESS, random_variables

from vivit_jax import cli
from vivit_jax.data import motion_digits
from vivit_jax.data.dataset import open_dataset
from vivit_jax.data.preparation.prepare import prepare
from vivit_jax.errors import UserError
from vivit_jax.weights import save_pretrained

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md", ROOT / "README.md"])
LABELS = ("run", "sit")

# Commands that are not run, where * is any end, and why.
ELSEWHERE = {
    "pip install*": "the network; .ci/run installs the package and its extras",
    "pytest -m slow": "these tests themselves",
    "VIVIT_FUZZ=N python -m pytest tests/fuzz*": "hours; tests/fuzz runs with the other tests",
    'eval "$(vivit completion zsh)"': "zsh; tests/commands/test_completion.py has its code printed",
    "vivit prepare kinetics k400 --name k400 --data_dir /shared/data --beam*": "the extra beam; tests/data/test_prepare_by_beam.py",
    "srun*": "a cluster; tests/training/test_runs.py has two processes that train as one",
    "python train.py*--coordinator=host0:1234*": "two hosts; the same",
    "ffmpeg -i rtsp://camera*": "a camera; tests/commands/test_predict_windows.py reads standard input",
    "python train.py --config=configs/sports1m_cnn.py*": "tests/test_recipes_run.py, which trains the network and this one from it",
    "python train.py --config=configs/ucf101_cnn.py*": "the same",
    "curl*": "a server; test_blocks.py has one",
    "vivit serve --model runs/digits/model": "it serves until it is stopped; tests/serving/test_process.py",
    "vivit bench*--mode train*": "a large matrix product and steps of the whole model, minutes of a CPU; tests/commands/test_bench.py",
    "vivit bench --mode infer --config configs/kinetics_x3d.py*": "a GPU: 64 clips of the whole network, 15 minutes of a CPU",
    "vivit prepare medmnist3d adrenalmnist3d_64.npz*": "a beginning; tests/data/test_layout_medmnist3d.py",
    "python docs/write_promises.py": "it writes into the clone; tests/docs/test_promises.py holds what it makes against the page",
    "python docs/write_data_table.py": "the same; tests/docs/test_data_table.py",
    "PYTHONPATH=tests python docs/draw_architecture.py": "it draws into the clone; tests/test_rooms.py reads the same imports",
    "python benchmarks/peers.py*": "a GPU; tests/benchmarks/test_peers.py",
    "python benchmarks/cnn.py*": "a GPU",
    "python benchmarks/cnn_variants.py*": "a GPU",
    "python benchmarks/cnn_or_vivit.py*": "a GPU, 16 minutes on two; tests/test_recipes_run.py trains by its config",
    "python benchmarks/small_data.py*": "a GPU, and the whole of drone_ir, whose flights it draws",
    "python benchmarks/kernels.py*": "a GPU; tests/benchmarks/test_kernels.py",
    "python benchmarks/own_kernels.py*": "a GPU",
    "python benchmarks/attention.py*": "a Hopper GPU; tests/benchmarks/test_attention.py",
    "python benchmarks/fewer_tokens.py --out figures*": "a GPU; tests/benchmarks/test_fewer_tokens.py",
    "python benchmarks/scaling.py*": "several GPUs; tests/benchmarks/test_scaling.py",
    "python benchmarks/long_video.py*": "a film of two hours",
    "python benchmarks/clip_length.py --steps*": "a GPU",
    "python benchmarks/clip_length.py --json*": "a GPU",
    "python benchmarks/clip_length.py --frames*": "a GPU",
    "python benchmarks/training_from_disk.py*": "a GPU",
    "python benchmarks/ablation.py --json scores.json*": "a pattern; docs/drone_ir.md has four that are run",
    "python benchmarks/loss_curve.py*": "minutes; tests/benchmarks/test_loss_curve.py",
    "python benchmarks/loss_bias.py*": "minutes of a GPU",
    "python benchmarks/start_up.py*": "minutes, on a machine that does nothing else",
    "python benchmarks/time_to_score.py*": "minutes; tests/benchmarks/test_time_to_score.py",
    "python benchmarks/video_readers.py*": "the readers of others; tests/benchmarks/test_video_readers.py",
    "python benchmarks/evaluation_reading.py*": "a GPU",
    "python benchmarks/input_pipeline.py*": "TensorFlow",
    "python benchmarks/soak.py*": "half an hour; tests/benchmarks/test_soak.py",
    "python benchmarks/serve_soak.py*": "an hour; tests/benchmarks/test_serve_soak.py",
    "python benchmarks/memory.py*": "twenty minutes; tests/benchmarks/test_memory.py",
    "python benchmarks/manifest.py*": "the checkpoint of a ViT-B; tests/benchmarks/test_manifest.py",
}
# In sentences, a word in capitals stands for something of the reader's.
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_]+\d?\b|\.\.\.|\[--")
SHORT = (
    "--config.data.readers=2 --config.training.batch_size=4 --config.training.steps=2 --config.training.tensorboard=False "
    "--config.evaluation.batch_size=4 --config.checkpoint.every_percent=100 --config.schedule.warmup_epochs=0.0"
)
TINY = (
    f"{SHORT} --config.model.dtype=float32 --config.data.resize=32 --config.model.clip=(4,32,32) --config.model.tubelet=(2,16,16) "
    "--config.model.hidden_size=8 --config.model.num_layers=1 --config.model.temporal_layers=1 --config.model.num_heads=2 "
    "--config.model.mlp_dim=16"
)

ON_EIGHT = f"{TINY} --config.training.batch_size=8"
ON_EIGHT_DEVICES = {"XLA_FLAGS": f"{FEW_PASSES} --xla_force_host_platform_device_count=8"}


# What lies in the reader's folder before the page begins, each a function of the folder.


def clone(root):
    for name in ("train.py", "configs", "benchmarks"):
        (root / name).symlink_to(ROOT / name)
    for name in ("figures", "images"):
        shutil.copytree(ROOT / "docs" / name, root / "docs" / name)


def clips(root):
    for name, frames in {"clip.mp4": 12, "clips/first.mp4": 12, "more/of/second.mkv": 12}.items():
        small_sets.video(root / name, seed=99, frames=frames)


def film(root):
    """Of a minute and a half, by small_sets' 25 frames a second."""
    small_sets.video(root / "film.mp4", seed=98, frames=25 * 90)


def my_videos(root):
    small_sets.folder(root / "my_videos")


def volumes(root):
    """Seven of each of two classes, of the size that the page's block writes."""
    for number, label in itertools.product(range(1, 8), ("normal", "nodule")):
        small_sets.video(root / f"my_volumes/{label}/{number:03d}.mp4", seed=2 * number + (label == "normal"), frames=28)


def kinetics(root):
    prepare("kinetics", small_sets.kinetics(root / "k400", 400), name="kinetics400", data_dir=root / "data", workers=1)


def ssv2(root):
    prepare("ssv2", small_sets.ssv2(root / "ssv2"), name="ssv2", data_dir=root / "data", workers=1)


def clip_length(root):
    shutil.copy(ROOT / "docs/figures/clip_length.json", root)


def prepared(root):
    prepare("folder", small_sets.folder(root / "videos of mine"), name="my_videos", data_dir=root / "data", workers=1)


def listed_videos(root):
    small_sets.drone_ir(root).rename(root / "list.csv")


def unsplit_videos(root):
    """Ten clips of each class of the page, and its list with all of them."""
    (listed,) = re.findall(r"```text\n(path,label,person\n.*?)```", (ROOT / "docs/data.md").read_text(encoding="utf-8"), re.DOTALL)
    rows = list(csv.DictReader(listed.splitlines()))
    for label in ("run", "wave"):
        rows += [{"path": f"{label}/{number:03d}.mp4", "label": label, "person": f"p{number}"} for number in range(10, 20)]
    for number, row in enumerate(rows):
        small_sets.video(root / "my_videos" / row["path"], number)
    with (root / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def model(path, labels=LABELS, seed=0):
    config = dataclasses.replace(CONFIG, num_classes=len(labels))
    return save_pretrained(path, config, random_variables(config, seed), PREPROCESS, labels)


def names_of_kinetics(root):
    labels = [f"action {number}" for number in range(400)]
    (root / "kinetics400.txt").write_text("\n".join(labels))
    return labels


def model_of_kinetics(root):
    model(root / "models/vivit_k400", names_of_kinetics(root))


def runs(*names):
    """Work directories of the tiny model on `my_videos`."""

    def make(root):
        data = open_dataset("my_videos", root / "data")
        for seed, name in enumerate(names):
            scores = written_runs.evaluation(
                np.arange(2), written_runs.random_logits(np.arange(2), 2, skill=1, seed=seed), data.labels, views=1
            )
            folder = root / "runs" / name
            config = dataclasses.replace(CONFIG, num_classes=2)
            made = model(root / "made" / name, seed=seed)
            clip_names = {0: "test/run/4.mp4", 1: "test/sit/4.mp4"}
            written_runs.write_run(folder, scores, config, "data", name="my_videos", model_dir=made, views=(1, 1), names=clip_names)

    return make


def digits(root):
    """The embedded data set, small, where the command finds it made."""
    small_sets.digits(root / "tfds")


def model_of_digits(root):
    model(root / "runs/digits/model", motion_digits.LABELS)


def scenic_checkpoint(name):
    def make(root):
        kind = original.model_config("factorized_encoder", "token", patch=(2, 16, 16))
        tree = flax.traverse_util.unflatten_dict(original.random_params(kind, (8, 64, 64), classes=400), sep="/")
        (root / name).write_bytes(flax.serialization.msgpack_serialize({"optimizer": {"target": tree}, "global_step": 7}))

    return make


def image_vit(name):
    return lambda root: np.savez(root / name, **random_vit(patch=16, grid=2, layers=4))


def resnets_of_torch(root):
    import resnets

    resnets.write(resnets.randomise(resnets.torchvision.models.video.r3d_18()), root / "r3d_18-b3b3357e.pth")
    resnets.write(resnets.randomise(resnets.torchvision.models.resnet50()), root / "resnet50.pth")


def x3d_of_torch(root):
    import resnets
    import x3d_in_torch

    resnets.write(resnets.randomise(x3d_in_torch.X3D(400)), root / "X3D_M.pyth")


@dataclasses.dataclass(frozen=True)
class Page:
    """How a page is run.

    Attributes:
      there: what lies in the folder before, besides the clone.
      made: paths that its commands must have made.
      smaller: by how a command begins, what it is given beside what is printed, so that a CPU has its answer in seconds.
      meant: words of the page that stand for others, by those.
      flags_of: the command whose flags stand alone in a block.
      environment: of all commands.
    """

    there: tuple[Callable[[pathlib.Path], object], ...] = ()
    made: tuple[str, ...] = ()
    smaller: dict[str, str] = dataclasses.field(default_factory=dict)
    meant: dict[str, str] = dataclasses.field(default_factory=dict)
    flags_of: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)


RUN = {
    "docs/index.md": Page(
        (digits,),
        ("runs/digits/report.html", "runs/digits/evaluation.json", "overlay.mp4"),
        {"python train.py": f"{SHORT} --config.model.num_layers=1 --config.model.temporal_layers=1"},
    ),
    "docs/data.md": Page((unsplit_videos,), ("data/my_videos", "clips.png", "data/by_person")),
    "docs/coming_from_scenic.md": Page(
        (scenic_checkpoint("checkpoint"), names_of_kinetics, clips, my_videos, kinetics),
        ("runs/mine/report.html", "runs/two/model", "runs/eight/model"),
        {
            "python train.py --config=configs/video_folder.py": f"{ON_EIGHT} --config.model.num_layers=2 --config.model.temporal_layers=2",
            "CUDA_VISIBLE_DEVICES=0,1 python train.py": f"{ON_EIGHT} --config.init.source=None",
            "python train.py --config=configs/vivit_kinetics400.py": f"{ON_EIGHT} --config.init.source=None",
        },
        environment=ON_EIGHT_DEVICES,  # as its last command asks for
    ),
    "docs/coming_from_pytorch.md": Page(made=("exported/model.safetensors",)),
    "docs/comparing.md": Page(
        (prepared, runs("vivit", "resnet")), ("comparison/compare.html", "comparison/compare.md", "comparison/compare.json")
    ),
    "docs/evaluation.md": Page((prepared, runs("mine"), kinetics, model_of_kinetics), ("runs/mine/evaluation-test-4x3.json", "scores.csv")),
    "docs/predicting.md": Page((prepared, runs("mine"), clips, film), ("classes.csv", "film.csv", "film.png", "overlay.mp4")),
    "docs/probes.md": Page((prepared, image_vit("vit.npz"), clips), ("models/probe",), {"vivit convert": "--clip 8,32,32"}),
    "docs/training.md": Page(
        (prepared, digits, runs("seed0", "seed1", "seed2")),
        ("runs/mine/report.html", "runs/five/folds.json", "figures/fewer_tokens_scores.md", "models/soup"),
        {
            "python train.py --config=configs/video_folder.py": f"{TINY} --config.init.source=None",
            "vivit train --config=configs/video_folder.py": TINY,
            "vivit train --config=configs/motion_digits.py": f"{SHORT} --config.model.num_layers=1",
        },
    ),
    "docs/devices.md": Page(
        (kinetics,),
        ("runs/k400/report.html", "runs/large/report.html"),
        {"python train.py --config=configs/vivit_kinetics400.py": f"{ON_EIGHT} --config.init.source=None"},
        environment=ON_EIGHT_DEVICES,
    ),
    "docs/volumes.md": Page((volumes,), ("runs/volumes/report.html",), {"python train.py": f"{SHORT} --config.model.num_layers=1"}),
    "docs/troubleshooting.md": Page((prepared,), ("clips.png",)),
    "docs/weights.md": Page(
        (image_vit("vit_b16.npz"), scenic_checkpoint("checkpoint_200000"), names_of_kinetics, x3d_of_torch, prepared, runs("clips")),
        ("models/fe_long", "exported", "fe_k400.onnx", "exported_fe/model.stablehlo"),
    ),
    "docs/resnet3d.md": Page((resnets_of_torch, names_of_kinetics), ("models/i3d_50", "r3d_18.pth")),
    "docs/x3d.md": Page((x3d_of_torch, names_of_kinetics), ("x3d_m.pth",)),
    "docs/serving.md": Page((model_of_digits, clips), ("my_space/Dockerfile",)),
    "docs/cnn.md": Page(
        meant={"TRANSFER": "top_3", "NETWORK": "slow"},
        flags_of="vivit inspect configs/sports1m_cnn.py:slow --config.model.num_classes=487",
    ),
    "docs/architecture.md": Page(),
    "README.md": Page((listed_videos,), ("data/my_videos",)),
    "docs/drone_ir.md": Page(),
    "docs/performance.md": Page((clip_length,)),
    "docs/performance_history.md": Page((ssv2,)),
    "benchmarks/README.md": Page((digits,), meant={"FILE": "configs/motion_digits"}),
}


def name_of(page):
    return str(page.relative_to(ROOT))


def commands(page):
    """The commands of a page in its order: those of its blocks, and of its sentences those that are whole."""
    text, how = page.read_text(encoding="utf-8"), RUN.get(name_of(page), Page())
    for word, meaning in how.meant.items():
        text = re.sub(rf"\b{word}\b", meaning, text)
    blocks = [] if page == ROOT / "README.md" else in_blocks(text)  # test_readme_journeys.py runs those
    lines = [*blocks, *filter(is_whole, in_sentences(text))]
    return [f"{how.flags_of} {line}" if line.startswith("--") else line for line in lines]


def is_whole(line):
    """Whether a command in a sentence is one to type, and not the name, the beginning or the pattern of some."""
    words = shlex.split(line)
    if reason(line) or re.search(r"python (benchmarks|docs)/", line):
        return True
    nameless = words[1] in ("train", "bench") and "--config" not in line
    if words[0] != "vivit" or len(words) < 3 or nameless or PLACEHOLDER.search(line):
        return False
    try:
        cli.parse(words[1], words[2:])
    except (UserError, SystemExit):
        return False
    return True


def reason(line):
    """Why a command is not run, None where it is."""
    return next((why for pattern, why in ELSEWHERE.items() if fnmatch.fnmatchcase(line, pattern)), None)


def test_every_command_is_run_or_has_a_reason_not_to_be():
    run = {name_of(page): [line for line in commands(page) if not reason(line)] for page in PAGES}
    assert {name for name, lines in run.items() if lines} == RUN.keys() | {"docs/gallery.md"}
    lines = [line for page in PAGES for line in commands(page)]
    gone = [pattern for pattern in ELSEWHERE if not any(fnmatch.fnmatchcase(line, pattern) for line in lines)]
    assert not gone, f"no page has these any more: {gone}"
    named = {path for why in ELSEWHERE.values() for path in re.findall(r"tests/[\w/]+\.py", why)}
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_the_commands_of_a_page_do_as_they_are_pasted(name, tmp_path, terminal):
    pytest.importorskip("onnx")
    page = RUN[name]
    for put in (clone, *page.there):
        put(tmp_path)
    environment = {"TFDS_DATA_DIR": str(tmp_path / "tfds")} | page.environment
    for line in commands(ROOT / name):
        if not reason(line):
            extra = next((flags.split() for start, flags in page.smaller.items() if line.startswith(start)), ())
            done = terminal.run(line, tmp_path, extra, environment)
            assert done.code == 0, f"{line}\n{done.out}{done.err}"
            print(f"{line}\n{done.out}{done.err}")
    assert [made for made in page.made if not (tmp_path / made).exists()] == []
