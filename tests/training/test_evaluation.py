"""Exact scores: every example once, whatever the devices, the batches and the views."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from brightness import VARIABLES, Brightness
from scipy.special import logsumexp
from sklearn import metrics as sklearn_metrics

from vivit_jax.errors import UserError
from vivit_jax.training.config import ParallelConfig
from vivit_jax.training.evaluation import Scoring, score_batches
from vivit_jax.training.forward import Watch
from vivit_jax.training.metrics import score, score_clips, score_multi_label
from vivit_jax.weights import Pretrained

PARALLEL = ParallelConfig(data=1)


def evaluated(model, batches, parallel=PARALLEL, variables=VARIABLES, labels=tiny.CLASSES):
    return score_batches(Pretrained(model, variables, tiny.PREPROCESS, labels), batches, parallel, Watch(shown=False))


def scores(batch_size, parallel, views=(1, 1), model=None, split="test", labels=tiny.CLASSES):
    batches = tiny.EvaluationBatches(split, batch_size, views)
    return evaluated(model or Brightness(), batches, parallel, labels=labels)


@pytest.fixture(scope="module")
def expected():
    """Logits and labels without batches, padding or devices."""
    examples = tiny.examples("test")
    video = examples["video"].astype(np.float64) / 127.5 - 1
    distance = video.mean(axis=(1, 2, 3, 4))[:, None] - np.linspace(-0.6, 0.9, 4) - VARIABLES["params"]["offset"]
    return -np.abs(distance), examples["label"]


@pytest.mark.fault(
    promise="Each example counts once in an evaluation, whatever the batch and the devices",
    provoked="27 clips in batches of 4, 5, 27 and 64 on one and on eight devices, jit, pmap and a mesh",
    seen="27 examples and exactly NumPy's hits",
    trials=16,
)
@pytest.mark.parametrize("batch_size", [4, 5, 27, 64])
@pytest.mark.parametrize(
    "parallel", [ParallelConfig(data=1), ParallelConfig(), ParallelConfig("pmap"), ParallelConfig(fsdp=2, tensor=2)], ids=str
)
def test_any_number_of_devices_counts_the_same(expected, batch_size, parallel):
    logits, label = expected
    result = scores(batch_size, parallel)
    assert result.examples == tiny.EXAMPLES["test"] == 27
    assert result.hits == (logits.argmax(axis=1) == label).sum()
    assert 0 < result.hits < 27
    assert result.index.tolist() == list(range(27))
    np.testing.assert_allclose(result.logits[""], logits, atol=1e-5)
    np.testing.assert_allclose(
        result.loss, sklearn_metrics.log_loss(label, np.exp(logits) / np.exp(logits).sum(1, keepdims=True)), rtol=1e-5
    )


def test_scores_are_those_of_scikit_learn(expected):
    logits, label = expected
    evaluation = scores(8, ParallelConfig(data=1))
    found = evaluation.to_dict()
    assert repr(evaluation) == f"Evaluation({evaluation.headline}, loss {found['loss']:.4f})"
    assert evaluation.beside_headline("auc") == f"  auc {found['auc']:.4f}"
    assert {evaluation.beside_headline(name) for name in ("top1", "loss", "last")} == {""}
    predicted = logits.argmax(axis=1)
    np.testing.assert_array_equal(found["confusion"], sklearn_metrics.confusion_matrix(label, predicted))
    assert found["top1"] == sklearn_metrics.accuracy_score(label, predicted)
    assert found["mean_class"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(label, predicted))
    assert found["top5"] == 1.0
    assert "f1" not in found  # which is of two classes
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(label, probability, multi_class="ovr"))
    assert {name: entry["examples"] for name, entry in found["per_class"].items()} == dict(
        zip(tiny.CLASSES, np.bincount(label).tolist(), strict=True)
    )


def test_in_the_area_examples_of_equal_scores_count_as_in_scikit_learn():
    generator = np.random.default_rng(0)
    logits, present = generator.integers(0, 4, (60, 3)).astype(np.float32), generator.integers(0, 2, (60, 3))
    areas = [sklearn_metrics.roc_auc_score(present[:, i], logits[:, i]) for i in range(3)]
    assert score_multi_label(logits, present, "abc").aucs.tolist() == pytest.approx(areas, abs=1e-12)


def test_of_two_classes_area_and_f1_are_those_of_the_second():
    generator = np.random.default_rng(0)
    logits, label = generator.normal(size=(50, 2)), generator.integers(0, 2, 50)
    probability = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    found = score(logits, label, ("no", "yes")).to_dict()
    assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(label, probability))
    assert found["f1"] == pytest.approx(sklearn_metrics.f1_score(label, logits.argmax(axis=1)))
    assert score(np.tile([1.0, 0.0], (50, 1)), np.zeros(50, int), ("no", "yes")).f1 is None
    assert score(logits, np.zeros(50, int), ("no", "yes")).auc is None


@pytest.mark.parametrize("classes", [2, 4])
def test_the_area_of_a_model_sure_of_all_it_says_counts_no_ties_of_probabilities_rounded_to_1(classes):
    generator = np.random.default_rng(0)
    label = generator.integers(0, classes, 400)
    logits = (60 * (generator.normal(size=(400, classes)) + 0.5 * np.eye(classes)[label])).astype(np.float32)
    others = [logsumexp(np.delete(logits.astype(np.float64), number, axis=1), axis=1) for number in range(classes)]
    expected = [sklearn_metrics.roc_auc_score(label == number, logits[:, number] - others[number]) for number in range(classes)]
    assert score(logits, label, "abcd"[:classes]).aucs == pytest.approx(expected, abs=1e-12)
    rounded = np.exp(logits - logsumexp(logits.astype(np.float64), axis=1)[:, None])
    assert abs(sklearn_metrics.roc_auc_score(label == 0, rounded[:, 0]) - expected[0]) > 1e-4


def test_the_loss_of_one_class_is_zero_without_a_sign():
    assert str(score(np.zeros((3, 1)), np.zeros(3, int), ("only",)).loss) == "0.0"


def test_an_unknown_average_is_refused():
    with pytest.raises(UserError, match="unknown average 'probability'"):
        Scoring(tiny.CLASSES, average="probability")


def test_logits_are_averaged_over_views():
    class Views(tiny.EvaluationBatches):
        def __iter__(self):
            for batch in super().__iter__():
                video = batch["video"].copy()
                video[:, 0] = 0
                yield batch | {"video": video}

    batches = Views("test", 8, (3, 1))
    result = evaluated(Brightness(), batches)
    assert result.views == 3
    dark = -np.abs(-1 - np.linspace(-0.6, 0.9, 4) - VARIABLES["params"]["offset"])
    one = scores(8, ParallelConfig(data=1)).logits[""]
    np.testing.assert_allclose(result.logits[""], (dark + 2 * one) / 3, atol=1e-5)
    label = result.label[""]
    hits = (dark.argmax() == label).sum() + 2 * (one.argmax(axis=1) == label).sum()
    assert result.to_dict()["clip_top1"] == hits / (3 * 27) != result.top1
    assert result.to_dict()["clip_top5"] == 1.0
    assert "clip_top1" not in scores(8, PARALLEL).to_dict()  # of one view it is top1


def test_views_of_a_video_with_several_labels_are_right_if_any_is_said():
    best = np.array([[[3, 0], [1, 2]], [[0, 1], [2, 3]], [[2, 1], [2, 0]]])
    label = np.array([[0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    assert score_clips(best, label).to_dict() == {"clip_top1": 2 / 6, "clip_top5": 3 / 6}
    assert score_clips(best, np.array([3, 1, 0])).to_dict() == {"clip_top1": 1 / 6, "clip_top5": 3 / 6}


class TwoHeads(nn.Module):
    @nn.compact
    def __call__(self, video, train=False):
        brightness = Brightness()(video)
        return {"verb": brightness, "noun": jnp.stack([brightness[:, 0] - brightness[:, 1], jnp.zeros(len(video))], axis=1)}


def test_of_several_heads_a_hit_is_the_most_probable_combination():
    class Both(tiny.EvaluationBatches):
        def __iter__(self):
            for batch in super().__iter__():
                yield batch | {"label": {"verb": batch["label"], "noun": (batch["label"] > 0).astype(np.int32)}}

    labels = {"verb": tiny.CLASSES, "noun": ("dark", "light")}
    variables = {"params": {"Brightness_0": VARIABLES["params"]}}
    result = evaluated(TwoHeads(), Both("test", 8), ParallelConfig(), variables, labels)
    probability = result.probabilities
    joint = (probability["verb"][:, :, None] * probability["noun"][:, None, :]).reshape(27, -1)
    combined = result.label["verb"] * 2 + result.label["noun"]
    assert result.hits == (joint.argmax(axis=1) == combined).sum()
    assert result.hits5 == sum(label in np.argsort(-row)[:5] for label, row in zip(combined, joint, strict=True))
    found = result.to_dict()
    assert found["heads"]["noun"]["top1"] >= found["top1"]
    verb, noun = (found["heads"][head]["top1"] for head in ("verb", "noun"))
    counted = f"(all heads right for {result.hits} of 27; noun {noun:.4f}, verb {verb:.4f})"
    assert result.headline == f"top1 {found['top1']:.4f} {counted}"
    assert found["loss"] == pytest.approx((found["heads"]["verb"]["loss"] + found["heads"]["noun"]["loss"]) / 2)


def test_labels_that_are_no_class_are_refused():
    with pytest.raises(UserError, match="the model has 4 classes and the data set 3"):
        scores(8, ParallelConfig(data=1), labels=tiny.CLASSES[:3])


@pytest.mark.fault(
    promise="A split without examples is refused, not scored",
    provoked="an evaluation of no batches",
    seen="one line",
    trials=1,
    subject="data",
)
def test_a_split_without_examples_is_refused():
    with pytest.raises(UserError, match="no examples"):
        evaluated(Brightness(), [])


def test_a_shorter_last_batch_is_not_compiled_anew():
    traced = []

    class Traced(nn.Module):
        @nn.compact
        def __call__(self, video, train=False):
            traced.append(video.shape)
            return video.mean(axis=(1, 2, 3, 4))[:, None] - self.param("offset", nn.initializers.zeros, (4,))

    batches = [{name: values[batch["valid"]] for name, values in batch.items()} for batch in tiny.EvaluationBatches("test", 4)]
    assert len(batches[-1]["index"]) == 3
    assert evaluated(Traced(), batches).examples == 27
    assert len(set(traced)) == 1


@pytest.mark.parametrize("multi_label", [False, True])
def test_probabilities_or_logits_are_averaged_over_the_views(multi_label):
    """Against a loop in float64 over clips and views."""
    from vivit_jax.training.averaging import averaged

    logits = np.random.default_rng(0).normal(0, 4, (6, 5, 4)).astype(np.float32)
    means = {"logits": np.zeros((5, 4)), "probabilities": np.zeros((5, 4))}
    for view in logits.astype(np.float64):
        for clip, values in enumerate(view):
            share = 1 / (1 + np.exp(-values)) if multi_label else np.exp(values) / np.exp(values).sum()
            means["logits"][clip] += values / 6
            means["probabilities"][clip] += share / 6
    np.testing.assert_allclose(averaged(logits, "logits", multi_label=multi_label), means["logits"], rtol=1e-5, atol=1e-6)
    told = np.asarray(averaged(logits, "probabilities", multi_label=multi_label), np.float64)
    said = 1 / (1 + np.exp(-told)) if multi_label else np.exp(told) / np.exp(told).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(said, means["probabilities"], rtol=1e-4, atol=1e-6)
