"""The CNNs of Karpathy et al. 2014 on Sports-1M, from scratch.

  vivit prepare sports1m sports1m --name sports1m --data_dir data
  python train.py --config=configs/sports1m_cnn.py:slow --workdir=runs/sports1m --config.data.data_dir=data

The argument chooses the network: `single_frame`, `early`, `late` or `slow` fusion, each also in two streams of lower cost, as in
`:slow,multiresolution`. The paper's video Hit@1 / Hit@5, which are our top-1 and top-5, are:

  single_frame 59.3 / 77.7, single_frame,multiresolution 60.0 / 78.5, early 57.7 / 76.8, late 59.3 / 78.7, slow 60.9 / 80.2

Some videos have several labels. The paper trains a softmax all the same; here each class has a sigmoid, and a video is a hit if the most
probable class is one of its own. The length of the run, 50 million clips, is ours too: the paper trained for a month on a cluster.
docs/cnn.md lists our other readings of the paper.

GMAC (billions of multiply-adds) for one view, counted by `vivit inspect`: single_frame 1.28, early 2.29, late 2.53, slow 4.60; in two
streams 0.77, 1.33, 1.51 and 2.63.
"""

from vivit_jax.recipes.karpathy import fusion_recipe


def get_config(network="slow"):
    config = fusion_recipe("sports1m", network)
    config.data.val_split = None
    config.loss.name = "sigmoid"
    config.evaluation.best = "top1"
    config.training.examples = 50_000_000
    return config
