"""The CNNs of Karpathy et al. 2014 on Sports-1M, from random weights.

  vivit prepare sports1m sports1m --name sports1m --data_dir data
  python train.py --config=configs/sports1m_cnn.py:slow --workdir=runs/sports1m --config.data.data_dir=data

The argument chooses the network: `single_frame`, `early`, `late` or `slow` fusion. Each also comes in two streams, which cost less, such as
`:slow,multiresolution`. The paper's video Hit@1 and Hit@5 in percent, our top-1 and top-5, and the cost of one view in GMAC (billions of
multiply-accumulates, counted by `vivit inspect`), alone and in two streams:

  network         Hit@1, Hit@5                          GMAC    in two streams
  single_frame    59.3, 77.7 (two streams 60.0, 78.5)   1.28    0.77
  early           57.7, 76.8                            2.29    1.33
  late            59.3, 78.7                            2.53    1.51
  slow            60.9, 80.2                            4.60    2.63

Some videos have several labels. The paper trains a softmax all the same; here each class has a sigmoid, and a video is a hit if the most
probable class is one of its own. The length of the run, 50 million clips, is our choice too: the paper trained for a month on a cluster.
docs/cnn.md lists our other readings of the paper. It was not trained here.
"""

from vivit_jax.recipes.karpathy import fusion_recipe


def get_config(network="slow"):
    config = fusion_recipe("sports1m", network)
    config.data.val_split = None
    config.loss.name = "sigmoid"
    config.training.examples = 50_000_000
    config.evaluation.best = "top1"
    return config
