"""ViViT Model 1 beside its peers: ours, timm's blocks under `torch.compile`, and Hugging Face's ViViT, one table with ratios.

Each runs alone in a process of its own, in turns, on the same random uint8 clips, which the step normalises: the parameters are float32
and the computation bfloat16 in training (torch: autocast), by AdamW (torch: fused); to infer, torch's weights are bfloat16 too. Attention
is PyTorch's SDPA. Steps are queued on the device, and the figure is the median of the times from the end of one to that of the next, after
a warm-up. On a machine with torch, timm, transformers and jax:

  python benchmarks/peers.py --train 16,32 --infer 32,64 --rounds 3 --json peers.json
  python benchmarks/peers.py --train 2 --infer 2 --size tiny --steps 5        # that everything runs, on a CPU
"""

import dataclasses
import functools
import sys
import typing
from collections.abc import Callable
from typing import Any

import numpy as np
from side_by_side import Case, compare, make_parser, parse, report, time_ours, time_torch, write

if typing.TYPE_CHECKING:
    from vivit_jax.models.vivit.config import ViViTConfig


@dataclasses.dataclass(frozen=True)
class Size:
    """What all of them are: a ViViT of Model 1 with a cls token."""

    clip: tuple[int, int, int] = (32, 224, 224)
    tubelet: tuple[int, int, int] = (2, 16, 16)
    width: int = 768
    layers: int = 12
    heads: int = 12
    hidden: int = 3072
    classes: int = 400

    @property
    def tokens(self) -> int:
        """Tubelets and the cls token."""
        return int(np.prod([extent // patch for extent, patch in zip(self.clip, self.tubelet, strict=True)])) + 1


SIZES = {"B/16x2": Size(), "tiny": Size((4, 16, 16), (2, 8, 8), width=16, layers=2, heads=2, hidden=32, classes=5)}


def our_config(size: Size, **options: Any) -> "ViViTConfig":
    """The config of our model of a size."""
    from vivit_jax.models.vivit.config import ViViTConfig

    return ViViTConfig(
        clip=size.clip,
        tubelet=size.tubelet,
        hidden_size=size.width,
        num_layers=size.layers,
        num_heads=size.heads,
        mlp_dim=size.hidden,
        num_classes=size.classes,
        **options,
    )


def measure_ours(case: Case) -> dict[str, Any]:
    """Ours, and how many parameters it has."""
    import jax

    from vivit_jax.analysis.random_input import random_variables

    model = our_config(SIZES[case.size], dtype="bfloat16")
    row = time_ours(model, case)
    return row | {"parameters": sum(leaf.size for leaf in jax.tree.leaves(random_variables(model)["params"]))}


def make_timm(case: Case) -> Any:
    """timm's ViT blocks over tubelets: the model they would be if timm had videos."""
    import torch
    from timm.models.vision_transformer import Block
    from torch import nn

    size = SIZES[case.size]

    class VideoTransformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokenizer = nn.Conv3d(3, size.width, size.tubelet, size.tubelet)
            self.cls = nn.Parameter(torch.randn(1, 1, size.width) * 0.02)
            self.position = nn.Parameter(torch.randn(1, size.tokens, size.width) * 0.02)
            act = functools.partial(nn.GELU, approximate="tanh")
            norm = functools.partial(nn.LayerNorm, eps=1e-6)
            ratio = size.hidden / size.width
            blocks = [Block(size.width, size.heads, ratio, qkv_bias=True, act_layer=act, norm_layer=norm) for _ in range(size.layers)]
            self.blocks = nn.Sequential(*blocks)
            self.norm = norm(size.width)
            self.head = nn.Linear(size.width, size.classes)

        def forward(self, video: torch.Tensor) -> torch.Tensor:
            """(b, t, h, w, 3) to (b, classes)."""
            tokens = self.tokenizer(video.permute(0, 4, 1, 2, 3)).flatten(2).transpose(1, 2)
            tokens = torch.cat([self.cls.to(tokens.dtype).expand(len(tokens), -1, -1), tokens], dim=1) + self.position.to(tokens.dtype)
            return self.head(self.norm(self.blocks(tokens))[:, 0])

    return VideoTransformer()


def make_hugging_face(case: Case) -> Any:
    """Hugging Face's ViViT, its attention by SDPA."""
    import torch
    from transformers import VivitConfig, VivitForVideoClassification

    size = SIZES[case.size]
    config = VivitConfig(
        image_size=size.clip[1],
        num_frames=size.clip[0],
        tubelet_size=list(size.tubelet),
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=size.hidden,
        hidden_act=case.activation,
        num_labels=size.classes,
        attn_implementation="sdpa",
    )

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = VivitForVideoClassification(config)

        def forward(self, video: torch.Tensor) -> torch.Tensor:
            """(b, t, h, w, 3) to (b, classes)."""
            return self.model(pixel_values=video.permute(0, 1, 4, 2, 3)).logits

    return Logits()


def measure_torch(make: Callable[[Case], Any], compiled: bool, case: Case) -> dict[str, Any]:
    """A torch model's steps: uint8 to an update, or to logits."""
    import torch

    torch.manual_seed(0)
    size = SIZES[case.size]
    return time_torch(make(case), size.clip, size.classes, compiled, case)


PEERS = {
    "ours": measure_ours,
    "timm, compiled": functools.partial(measure_torch, make_timm, True),
    "timm, max-autotune": lambda case: measure_torch(make_timm, True, dataclasses.replace(case, compile_mode="max-autotune")),
    "timm": functools.partial(measure_torch, make_timm, False),
    "hugging face, compiled": functools.partial(measure_torch, make_hugging_face, True),
    "hugging face": functools.partial(measure_torch, make_hugging_face, False),
}


def main() -> int:
    parser = make_parser(__doc__, PEERS, train=32, infer=32)
    parser.add_argument("--size", choices=SIZES, default="B/16x2")
    parser.add_argument("--activation", default="gelu_fast", help="Hugging Face's hidden_act (default its checkpoints', gelu_fast)")
    arguments = parse(parser, PEERS)
    rows = compare(arguments, __file__)
    report(rows)
    return write(rows, arguments.json)


if __name__ == "__main__":
    sys.exit(main())
