"""Every crossing between parameters and files: other formats in, our model directory in and out.

- In: `convert` makes a model of a source, `initialise` the first weights of a training. `hub_cache` finds the files, and `tensors`
  opens them (`tensor_files`, `torch_files`, `wrappers`). The folder of the family recognises their names and makes them our variables:
  `vit/`, `resnet3d/` or `x3d/`; what the last two share is in `convolutional/`. `report` tells what became of each group of parameters.
- Ours: `model_dir` reads and writes model directories, with `model_json` for their JSON. `layers` flattens variables to paths and
  stacks scanned layers; `parameters` checks that a set of parameters is exactly a model's. `headless` takes heads off and puts others
  on.
- Out: `export` writes for other programs (`vit/export`, `resnet3d/export`, `x3d/export`, `stablehlo`, `onnx/`), `hub` pushes to the
  hub.
"""

from vivit_jax.weights.convert import from_pretrained
from vivit_jax.weights.initialise import Initialisation, initialise
from vivit_jax.weights.layers import stack_layers, unstack_layers
from vivit_jax.weights.model_dir import Pretrained, load_model_dir, save_pretrained

__all__ = [
    "Initialisation",
    "Pretrained",
    "from_pretrained",
    "initialise",
    "load_model_dir",
    "save_pretrained",
    "stack_layers",
    "unstack_layers",
]
