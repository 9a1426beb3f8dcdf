"""The transformer encoder: one block, stacked, with learned positions, stochastic depth, rematerialisation and scan.

There is one block for all models. It holds one attention for Models 1, 2 and 4 and two for Model 3, each pre-norm with a residual, then
the MLP; what the tokens of an attention attend to is that attention's pattern.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vivit_jax.models.kernels.attention import padded_length
from vivit_jax.models.kernels.gelu import biased_gelu
from vivit_jax.models.kernels.layer_norm import LayerNorm
from vivit_jax.models.kernels.memory_layout import row_major
from vivit_jax.models.kernels.shared_parameters import add_shared
from vivit_jax.models.vivit.attention import MultiHeadAttention
from vivit_jax.models.vivit.config import ViViTConfig
from vivit_jax.models.vivit.stochastic_depth import KeptExamples, kept_examples, rates_of

Attentions = tuple[tuple[str, tuple[str, ...]], ...]


class Encoded(NamedTuple):
    """The output of a layer.

    Attributes:
      tokens: all tokens, normalised as those after the last layer.
      to_pool: what `config.pool` makes one feature of: these tokens, or under `mean_then_norm` their mean, which is taken before the norm.
    """

    tokens: Float[Array, "b *n d"]
    to_pool: Float[Array, "b *m d"]


class Encoder(nn.Module):
    """Adds positions, runs the blocks, and normalises the tokens, or their mean where `config.pool` is `mean_then_norm`.

    Patches that a training step leaves out go after their positions are added.

    Parameters: `position` (n, d); `block_00`, `block_01`, ... (or, scanned, `blocks` with a leading layer axis); `norm`.

    Attributes:
      config: widths, layers, regularisation and precision.
      attentions: the attentions of each block in order, as (name, axes).
      outputs: where given, only the first `outputs` tokens of each sequence are needed. The last block then computes no others, which
        saves most of its work where only a cls token is needed; scanned layers are all alike and compute every token.
      batch_parts: as in `ViViT`.
    """

    config: ViViTConfig
    attentions: Attentions
    outputs: int | None = None
    batch_parts: int = 1

    @nn.compact
    def __call__(
        self, tokens: Float[Array, "b *n d"], positions: tuple[int, ...], train: bool, layers: tuple[int, ...] = ()
    ) -> tuple[Float[Array, "b *m d"], tuple[Encoded, ...]]:
        """Encodes tokens.

        Args:
          tokens: sequences of them.
          positions: the extents of the last token axes, each place of which has a learned position.
          train: whether to draw dropout, stochastic depth and the patches to leave out.
          layers: the layers whose outputs are wanted as well, counted back from -1, the last.

        Returns:
          The last layer's `to_pool`, and the output of each of `layers`.
        """
        config = self.config
        dtype = config.compute_dtype
        width = tokens.shape[-1]
        position = self.param("position", nn.initializers.normal(0.02), (*positions, width))
        x = add_shared(tokens, position)
        if train and config.kept_patches:
            x = config.kept_patches(self.make_rng("dropout"), x)
        x = nn.Dropout(config.dropout, deterministic=not train)(x)

        length = x.shape[-2]
        padding = padded_length(length, config.attention, width // config.num_heads, dtype) - length
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, padding), (0, 0)]) if padding else x
        x, after = self._blocks(self._laid_out(x), length, train, keep=bool(layers))
        norm = LayerNorm(config.last_norm_eps or config.norm_eps, config.attention, dtype, name="norm")

        def to_pool(x: Array) -> Array:
            return norm(x.mean(axis=tuple(range(-1 - len(positions), -1))) if config.pool == "mean_then_norm" else x)[1]

        kept = [after[layer][..., :length, :] for layer in layers]
        return to_pool(x[..., :length, :]), tuple(Encoded(norm(x)[1], to_pool(x)) for x in kept)

    def _blocks(self, x: Array, length: int, train: bool, *, keep: bool) -> tuple[Array, Any]:
        """The tokens after the last block and, to `keep`, after each of them."""
        config = self.config
        rates = rates_of(config.stochastic_depth, config.num_layers)
        block = nn.remat(Block, prevent_cse=not config.scan_layers) if config.remat else Block
        arguments = {"config": config, "attentions": self.attentions, "length": length, "train": train, "keep": keep}
        if config.scan_layers:
            scanned = nn.scan(
                block,
                variable_axes={"params": 0, "intermediates": 0},
                split_rngs={"params": True, "dropout": True},
                length=config.num_layers,
            )
            return scanned(**arguments, name="blocks")(x, jnp.asarray(rates))
        after = []
        skips = train and config.stochastic_depth_skips
        examples = kept_examples(rates, x.shape[0], self.batch_parts) if skips else [None] * len(rates)
        for layer, rate in enumerate(rates):
            outputs = self.outputs if layer == config.num_layers - 1 else None
            x, kept = block(**arguments, outputs=outputs, examples=examples[layer], name=f"block_{layer:02d}")(x, rate)
            x = self._laid_out(x)
            after.append(kept)
        return x, after

    def _laid_out(self, x: Array) -> Array:
        """The tokens in row-major order on a GPU. A plain model says nothing about memory, so that it can be exported for any platform."""
        return x if self.config.attention == "xla" else row_major(x)


class Block(nn.Module):
    """x + attention(norm(x)) for each attention, then x + mlp(norm(x)).

    Parameters: for each attention `norm_<name>` and `<name>`; `norm_mlp` and `mlp`.

    Attributes:
      config: widths, regularisation and precision.
      attentions: as in `Encoder`.
      length: number of real tokens on the last token axis.
      train: whether dropout and stochastic depth are drawn.
      outputs: where given, only the first `outputs` tokens of each sequence are needed.
      keep: whether the tokens are wanted after this block.
      examples: where given, how many examples each residual is computed for.
    """

    config: ViViTConfig
    attentions: Attentions
    length: int
    train: bool
    outputs: int | None = None
    keep: bool = False
    examples: KeptExamples | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "b *n d"], drop_rate: float | Array) -> tuple[Float[Array, "b *n d"], Array | None]:
        """Returns (x, x to `keep` or else None), the pair that `nn.scan` asks for; `drop_rate` is the chance that a residual is dropped."""
        config = self.config
        dtype = config.compute_dtype
        norm = functools.partial(LayerNorm, config.norm_eps, config.attention, dtype)
        dropout = nn.Dropout(config.dropout, deterministic=not self.train)
        for name, axes in self.attentions:
            attention = MultiHeadAttention(
                num_heads=config.num_heads,
                axes=axes,
                length=self.length,
                backend=config.attention,
                dropout=config.attention_dropout,
                train=self.train,
                dtype=dtype,
                name=name,
            )
            x = self._with_residual(x, drop_rate, norm(name=f"norm_{name}"), lambda y, mix=attention: dropout(mix(y, self.outputs)))
        x = self._with_residual(x, drop_rate, norm(name="norm_mlp"), MLP(config, self.train, name="mlp"))
        return x, x if self.keep else None

    def _with_residual(self, x: Array, rate: float | Array, norm: LayerNorm, branch: Callable[[Array], Array]) -> Array:
        """x + branch(norm(x)), its first `outputs` tokens."""
        if self.examples is None:
            x, y = norm(x)
            y = branch(y)
            return x[..., : self.outputs, :] + self._stochastic_depth(y, rate)
        subset = self.examples.draw(self.make_rng("dropout"))
        taken, y = norm(self.examples.take(x, subset))
        y = branch(y)
        y = y / self.examples.share if self.config.stochastic_depth_rescale else y
        return self.examples.put(taken[..., : self.outputs, :] + y, x[..., : self.outputs, :], subset)

    def _stochastic_depth(self, residual: Array, rate: float | Array) -> Array:
        """Drops the residual of whole examples at random (Huang et al. 2016)."""
        if not self.train or not self.config.stochastic_depth:
            return residual
        shape = (residual.shape[0],) + (1,) * (residual.ndim - 1)
        kept = jax.random.bernoulli(self.make_rng("dropout"), 1.0 - rate, shape)
        scale = 1.0 / (1.0 - rate) if self.config.stochastic_depth_rescale else 1.0
        return residual * (kept * scale).astype(residual.dtype)


class MLP(nn.Module):
    """Two dense layers with a GELU between. Parameters: `in` with kernel (d, m), `out` with kernel (m, d)."""

    config: ViViTConfig
    train: bool

    @nn.compact
    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Transforms each token alone."""
        config = self.config
        dtype = config.compute_dtype
        dropout = nn.Dropout(config.dropout, deterministic=not self.train)
        gelu = functools.partial(biased_gelu, activation=config.activation, backend=config.attention)
        hidden = dropout(Dense(config.mlp_dim, dtype, add_bias=gelu, name="in")(x))
        return dropout(Dense(x.shape[-1], dtype, name="out")(hidden))


class Dense(nn.Module):
    """A matrix product, to which `add_bias` adds the bias. Parameters: kernel (d, m) and bias (m)."""

    features: int
    dtype: jnp.dtype
    add_bias: Callable[[Array, Array], Array] = add_shared

    @nn.compact
    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b m"]:
        """Transforms each token alone."""
        kernel = self.param("kernel", nn.initializers.xavier_uniform(), (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.normal(1e-6), (self.features,))
        return self.add_bias(x @ kernel.astype(self.dtype), bias)
