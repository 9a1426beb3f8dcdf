"""VideoMAE against transformers' and a plain torch module of the authors' layout: the same logits on random weights."""

import json

import jax
import numpy as np
import pytest

from vivit_jax.errors import UserError
from vivit_jax.weights.config import InitConfig
from vivit_jax.weights.convert import convert, from_pretrained
from vivit_jax.weights.export import export
from vivit_jax.weights.model_dir import save_pretrained
from vivit_jax.weights.vit.positions import resize_positions
from vivit_jax.weights.vit.videomae import sine_cosine_positions

torch = pytest.importorskip("torch", reason="parity needs the extra `parity`: pip install -e '.[parity]'")
transformers = pytest.importorskip("transformers", reason="parity needs the extra `parity`: pip install -e '.[parity]'")

WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
CLASSES = 5


def randomised(model):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2 + (parameter.ndim == 1) * 0.1)
    return model.eval()


def hugging_face(folder, frames, size, patch, **options):
    config = transformers.VideoMAEConfig(**WIDTHS, image_size=size, patch_size=patch, num_frames=frames, num_labels=CLASSES, **options)
    model = randomised(transformers.VideoMAEForVideoClassification(config))
    model.save_pretrained(folder)
    return model


def video_of(frames, height, width):
    return torch.randn(2, frames, 3, height, width, generator=torch.Generator().manual_seed(1))


def logits_of(pretrained, video):
    return np.asarray(jax.jit(pretrained.model.apply)(pretrained.variables, video.numpy().transpose(0, 1, 3, 4, 2)))


@pytest.mark.parametrize(("frames", "size", "patch"), [(4, 16, 8), (8, 24, 8), (6, 32, 16)])
def test_hugging_faces_logits(tmp_path, frames, size, patch):
    model = hugging_face(tmp_path, frames, size, patch)
    pretrained = convert(tmp_path, {}, InitConfig()).pretrained
    config = pretrained.model.config
    assert (config.clip, config.tubelet, config.pool) == ((frames, size, size), (2, patch, patch), "mean_then_norm")
    assert (config.activation, config.norm_eps, pretrained.preprocess.mean) == ("gelu", 1e-12, (0.485, 0.456, 0.406))
    video = video_of(frames, size, size)
    with torch.no_grad():
        np.testing.assert_allclose(logits_of(pretrained, video), model(video).logits.numpy(), atol=1e-5, rtol=1e-5)


class Block(torch.nn.Module):
    """As in the authors' modeling_finetune.py: one product for query, key and value, whose key has no bias."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = torch.nn.LayerNorm(32, eps=1e-6), torch.nn.LayerNorm(32, eps=1e-6)
        self.attn = torch.nn.Module()
        self.attn.qkv, self.attn.proj = torch.nn.Linear(32, 96, bias=False), torch.nn.Linear(32, 32)
        self.attn.q_bias, self.attn.v_bias = torch.nn.Parameter(torch.zeros(32)), torch.nn.Parameter(torch.zeros(32))
        self.mlp = torch.nn.Module()
        self.mlp.fc1, self.mlp.fc2 = torch.nn.Linear(32, 48), torch.nn.Linear(48, 32)

    def forward(self, x):
        bias = torch.cat([self.attn.q_bias, torch.zeros(32), self.attn.v_bias])
        qkv = torch.nn.functional.linear(self.norm1(x), self.attn.qkv.weight, bias)
        q, k, v = qkv.reshape(*x.shape[:2], 3, 2, 16).permute(2, 0, 3, 1, 4)
        weights = (q * 16**-0.5 @ k.transpose(-2, -1)).softmax(-1)
        x = x + self.attn.proj((weights @ v).transpose(1, 2).reshape(x.shape))
        return x + self.mlp.fc2(torch.nn.functional.gelu(self.mlp.fc1(self.norm2(x))))


class Authors(torch.nn.Module):
    """As in the authors' modeling_finetune.py: a norm of the mean before the head, positions that are no parameter."""

    def __init__(self):
        super().__init__()
        self.patch_embed = torch.nn.Module()
        self.patch_embed.proj = torch.nn.Conv3d(3, 32, (2, 8, 8), (2, 8, 8))
        self.blocks = torch.nn.ModuleList([Block(), Block()])
        self.fc_norm, self.head = torch.nn.LayerNorm(32, eps=1e-6), torch.nn.Linear(32, CLASSES)

    def forward(self, video):
        x = self.patch_embed.proj(video.transpose(1, 2)).flatten(2).transpose(1, 2)
        angle = np.array([[n / np.power(10000, 2 * (j // 2) / 32) for j in range(32)] for n in range(x.shape[1])])
        angle[:, 0::2], angle[:, 1::2] = np.sin(angle[:, 0::2]), np.cos(angle[:, 1::2])
        x = x + torch.tensor(angle, dtype=torch.float32)
        for block in self.blocks:
            x = block(x)
        return self.head(self.fc_norm(x.mean(1)))


@pytest.mark.parametrize("wrapped", [None, "module"])
def test_the_authors_logits(tmp_path, wrapped):
    model = randomised(Authors())
    torch.save({wrapped: model.state_dict()} if wrapped else model.state_dict(), tmp_path / "vit.pth")
    pretrained = convert(tmp_path / "vit.pth", {"clip": (4, 16, 24)}, InitConfig(num_heads=2)).pretrained
    video = video_of(4, 16, 24)
    with torch.no_grad():
        np.testing.assert_allclose(logits_of(pretrained, video), model(video).numpy(), atol=1e-5, rtol=1e-5)


def test_the_older_names_of_biases(tmp_path):
    model = hugging_face(tmp_path, 4, 16, 8)
    (tmp_path / "model.safetensors").unlink()
    names = {name: name.replace("query.bias", "q_bias").replace("value.bias", "v_bias") for name in model.state_dict()}
    torch.save({names[name]: tensor for name, tensor in model.state_dict().items()}, tmp_path / "pytorch_model.bin")
    video = video_of(4, 16, 16)
    with torch.no_grad():
        np.testing.assert_allclose(logits_of(convert(tmp_path, {}, InitConfig()).pretrained, video), model(video).logits, atol=1e-5)


def test_the_norm_of_the_mean_has_an_epsilon_of_its_own(tmp_path):
    """Hugging Face's class leaves it at torch's 1e-5, whatever layer_norm_eps says; a mean of small tokens shows it."""
    model = hugging_face(tmp_path / "theirs", 4, 16, 8, layer_norm_eps=1e-3, qkv_bias=False)
    pretrained = from_pretrained(tmp_path / "theirs")
    assert (pretrained.model.config.norm_eps, pretrained.model.config.last_norm_eps) == (1e-3, 1e-5)
    save_pretrained(tmp_path / "ours", pretrained.model.config, pretrained.variables, pretrained.preprocess, None)
    again = from_pretrained(tmp_path / "ours", num_classes=CLASSES)
    assert again.model.config == pretrained.model.config
    video = video_of(4, 16, 16)
    with torch.no_grad():
        np.testing.assert_allclose(logits_of(again, video), model(video).logits.numpy(), atol=1e-6, rtol=1e-6)
    with pytest.raises(UserError, match="Hugging Face has ViViT with"):
        export(again, "hugging_face", tmp_path / "exported")


def test_positions_go_to_another_clip_like_any_others(tmp_path):
    hugging_face(tmp_path, 4, 16, 8)
    pretrained = convert(tmp_path, {"clip": (8, 16, 24)}, InitConfig(position_resize="linear")).pretrained
    positions = pretrained.variables["params"]["transformer"]["encoder"]["position"].reshape(4, 2, 3, 32)
    np.testing.assert_allclose(positions, resize_positions(sine_cosine_positions((2, 2, 2), 32), (4, 2, 3), "linear"), atol=1e-6)


def test_an_encoder_that_was_only_pre_trained_has_a_fresh_norm_and_no_decoder(tmp_path):
    config = transformers.VideoMAEConfig(**WIDTHS, image_size=16, patch_size=8, num_frames=4, decoder_num_hidden_layers=1)
    randomised(transformers.VideoMAEForPreTraining(config)).save_pretrained(tmp_path)
    converted = convert(tmp_path, {"num_classes": 3}, InitConfig())
    assert "reconstructs hidden patches" in str(converted.report)
    assert converted.pretrained.model.config.num_classes == 3


def test_what_config_json_says_of_activation_and_depth_is_believed_or_refused(tmp_path):
    hugging_face(tmp_path, 4, 16, 8)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"hidden_act": "gelu_new"}))
    assert convert(tmp_path, {}, InitConfig()).pretrained.model.config.activation == "gelu_tanh"
    (tmp_path / "config.json").write_text(json.dumps(values | {"num_hidden_layers": 3}))
    with pytest.raises(UserError, match=r"config\.json says 3 layers, the weights hold 2"):
        convert(tmp_path, {}, InitConfig())


def test_a_clip_that_nothing_tells_is_asked_for(tmp_path):
    torch.save(Authors().state_dict(), tmp_path / "vit.pth")
    with pytest.raises(UserError, match="its positions are fixed and in no file: give clip"):
        convert(tmp_path / "vit.pth", {}, InitConfig(num_heads=2))
