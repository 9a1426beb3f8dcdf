"""The CNNs of Karpathy et al. 2014 on UCF-101, from the network that was trained on Sports-1M.

  python train.py --config=configs/sports1m_cnn.py:slow --workdir=runs/sports1m --config.data.data_dir=data
  vivit prepare ucf101 UCF-101 --annotations ucfTrainTestlist --name ucf101 --data_dir data
  python train.py --config=configs/ucf101_cnn.py:top_3 --workdir=runs/ucf101 --config.data.data_dir=data

`--split_number 2` prepares another of UCF-101's three divisions. The argument says what is trained, then the network if it is not slow
fusion, as `:top_3,single_frame` or `:all,slow,multiresolution`. Top-1 in the paper, in percent, with slow fusion:

  top_layer   64.1   the head
  top_3       65.4   the head and both fully connected layers below it
  all         62.2   every layer
  scratch     41.3   every layer, from random weights

`--config.init.source` is the Sports-1M network: `runs/sports1m/model`, or any model directory of the same network. The length of the run
and the rates of dropout are our choice. It was not trained here.
"""

from vivit_jax.recipes.karpathy import fusion_recipe, transfer


def get_config(argument="top_3"):
    how, _, network = argument.partition(",")
    config = fusion_recipe("ucf101", network or "slow")
    transfer(config, how, "runs/sports1m/model")
    config.data.val_split = None
    config.training.epochs = 50.0
    return config
