"""Operations that GPUs run by kernels of their own, each beside its plain definition.

`attention` chooses how attention is computed; `flash_attention_3` calls a library. Three operations are Triton kernels of ours, written in
Pallas: `layer_norm`, `gelu` and `time_attention`. Each of their files holds the same layers, from the outside in:

1. The definition in jax.numpy, which XLA compiles. It runs on CPUs and TPUs, in float32, and under `attention` `xla` and `chunked`, and the
   tests hold the kernels to it.
2. The choice between the two, made while the model is traced: `platform.runs_our_kernels`, and for `time_attention` also `takes_grid`.
   A jax without Pallas's Triton (`triton.py`) gets the definition. Nothing falls back later: a kernel that does not compile is an error.
3. A `jax.custom_vjp`, whose forward and backward rules launch one kernel each.
4. `partitioning.per_device`. XLA cannot look into a kernel, so it is told which axes may be divided over devices: each device then runs
   `call` on its own part.
5. `call`, which launches one program for each point of a grid. A `BlockSpec` says which block of an array a program sees: the block's
   extents, and from the point of the grid the block's number along each axis. An axis with extent None is one index, and is absent inside.
6. The kernel, `_..._kernel`: it takes a ref for each argument and then for each result, and sums in float32. Triton's blocks are powers of
   two, so loads and stores carry a mask where a width or a number of tokens is not one.

To change a kernel, run `pytest tests/models/test_normalisation.py` (or `test_gelu.py`, `test_attention.py`) and `test_own_kernels.py`. On a
CPU they interpret the kernels (`interpret=True`). On a GPU they compile them, and only there does a store without its mask show. Then
`benchmarks/own_kernels.py` times each kernel against XLA, and `benchmarks/kernels.py` a whole step. docs/performance_history.md has the
figures.
"""
