"""X3D in plain torch, written anew: its modules have pytorchvideo's names, so that state dicts are interchangeable."""

import pytest

torch = pytest.importorskip("torch", reason="parity needs the extra `parity`: pip install -e '.[parity]'")

from torch import nn  # noqa: E402 (it needs torch)

STAGES = ((3, 24, 54), (5, 48, 108), (11, 96, 216), (7, 192, 432))  # blocks, channels, channels of the depthwise convolution
SQUEEZED = {54: 8, 108: 8, 216: 16, 432: 32, 18: 8, 36: 8, 72: 8, 144: 16}


class Named(nn.Module):
    """Modules by name, without a forward of its own."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


class Squeeze(Named):
    def __init__(self, channels):
        inner = SQUEEZED[channels]
        super().__init__(block=nn.Sequential(nn.Conv3d(channels, inner, 1), nn.ReLU(), nn.Conv3d(inner, channels, 1), nn.Sigmoid()))

    def forward(self, x):
        return x * self.block(x.mean((2, 3, 4), keepdim=True))


class Block(Named):
    def __init__(self, inputs, inner, outputs, stride, squeeze):
        conv = nn.Conv3d(inner, inner, 3, (1, stride, stride), 1, groups=inner, bias=False)
        super().__init__(
            branch2=Named(
                conv_a=nn.Conv3d(inputs, inner, 1, bias=False),
                norm_a=nn.BatchNorm3d(inner),
                conv_b=conv,
                norm_b=nn.Sequential(nn.BatchNorm3d(inner), Squeeze(inner) if squeeze else nn.Identity()),
                conv_c=nn.Conv3d(inner, outputs, 1, bias=False),
                norm_c=nn.BatchNorm3d(outputs),
            )
        )
        if stride > 1 or inputs != outputs:
            self.branch1_conv = nn.Conv3d(inputs, outputs, 1, (1, stride, stride), bias=False)
            self.branch1_norm = nn.BatchNorm3d(outputs) if inputs != outputs else nn.Identity()

    def forward(self, x):
        b = self.branch2
        y = torch.relu(b.norm_a(b.conv_a(x)))
        y = nn.functional.silu(b.norm_b(b.conv_b(y)))
        y = b.norm_c(b.conv_c(y))
        return torch.relu(y + (self.branch1_norm(self.branch1_conv(x)) if hasattr(self, "branch1_conv") else x))


class X3D(nn.Module):
    """(b, 3, t, h, w) to logits, of the published widths over `divisor`."""

    def __init__(self, classes, *, divisor=1, depths=None):
        super().__init__()
        width = STAGES[0][1] // divisor
        stem = Named(
            conv=Named(
                conv_t=nn.Conv3d(3, width, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False),
                conv_xy=nn.Conv3d(width, width, (5, 1, 1), 1, (2, 0, 0), groups=width, bias=False),
            ),
            norm=nn.BatchNorm3d(width),
        )
        stages, inputs = [], width
        for stage, (depth, outputs, inner) in enumerate(STAGES):
            outputs, inner, blocks = outputs // divisor, inner // divisor, []
            for number in range((depths or [])[stage] if depths else depth):
                blocks.append(Block(inputs, inner, outputs, 1 if number else 2, number % 2 == 0))
                inputs = outputs
            stages.append(Named(res_blocks=nn.Sequential(*blocks)))
        features = 2048 // divisor
        pool = Named(
            pre_conv=nn.Conv3d(inputs, inner, 1, bias=False),
            pre_norm=nn.BatchNorm3d(inner),
            post_conv=nn.Conv3d(inner, features, 1, bias=False),
        )
        self.blocks = nn.ModuleList([stem, *stages, Named(pool=pool, proj=nn.Linear(features, classes))])

    def forward(self, x):
        stem, *stages, head = self.blocks
        x = torch.relu(stem.norm(stem.conv.conv_xy(stem.conv.conv_t(x))))
        for stage in stages:
            x = stage.res_blocks(x)
        x = torch.relu(head.pool.pre_norm(head.pool.pre_conv(x))).mean((2, 3, 4), keepdim=True)
        return head.proj(torch.relu(head.pool.post_conv(x)).flatten(1))
