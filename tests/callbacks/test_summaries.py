"""What `Summaries` writes, read back out of the event files as TensorBoard reads them."""

import importlib.util
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from batching import batches
from three_layers import three_layers

import keras_slim as slim
from keras_slim.callbacks import summaries as module

RNG = np.random.default_rng(3)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = RNG.normal(size=(32, 2)).astype("float32")
FIRST, SECOND, HEAD = (f"net/{name}/kernel" for name in ("first", "second", "head"))
PNG = b"\x89PNG\r\n\x1a\n"


def build():
    return three_layers(0.1)


def fit(callbacks, model=None, **options):
    model = model or build()
    model.fit(batches(X, Y), **{"epochs": 4, "verbose": 0, "callbacks": callbacks, **options})
    return model


def prune(**options):
    defaults = {"ratio": 0.5, "rounds": 1, "criterion": "l2", "debias": "none", "window": (0.5, 0.5), "verbose": 0}
    return slim.callbacks.ProgressiveGlobalPruning(**defaults | {"guards": slim.pruning.Guards(align=1)} | options)


def events(log_dir, run="keras_slim"):
    """All that a run holds: by tag, the plugin that shows it and what was written, by step."""
    found = {}
    for path in sorted((log_dir / run).glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                plugin = value.metadata.plugin_data.plugin_name
                steps = found.setdefault(value.tag, (plugin, {}))[1]
                assert event.step not in steps
                steps[event.step] = tf.make_ndarray(value.tensor)
    return found


def scalars(log_dir, tag):
    plugin, steps = events(log_dir)[tag]
    assert plugin == "scalars"
    return {step: float(value) for step, value in steps.items()}


class Weights(keras.callbacks.Callback):
    """Notes the weights at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append({weight.path: weight.numpy() for weight in self.model.weights})


@pytest.mark.parametrize("first", [True, False], ids=["before ours", "behind ours"])
def test_widths_and_logs_of_a_network_that_is_cut(first, tmp_path):
    ours, theirs = prune(), slim.callbacks.Summaries(tmp_path, images=False)
    model = fit([theirs, ours] if first else [ours, theirs])
    left = model.get_layer("first").units
    assert scalars(tmp_path, "widths/first") == {0: 16, 1: 16, 2: left, 3: left}
    assert scalars(tmp_path, "widths/head") == dict.fromkeys(range(4), 2)
    assert scalars(tmp_path, "epoch_units") == {0: 32, 1: 32, 2: 16, 3: 16}
    losses = model.history.history["loss"]
    assert list(scalars(tmp_path, "epoch_loss").values()) == pytest.approx(losses)


def test_histograms_count_what_is_not_zero(tmp_path):
    watch = Weights()
    pruning = slim.callbacks.GradualPruning(0.75, "constant", window=(0.5, 0.5), frequency=1, verbose=0)
    fit([slim.callbacks.Summaries(tmp_path), pruning, watch])
    plugin, steps = events(tmp_path)[f"weights/{SECOND}"]
    assert plugin == "histograms"
    for step, buckets in steps.items():
        weights = watch.seen[step][SECOND]
        kept = weights[weights != 0]
        assert buckets.shape[1] == 3
        assert buckets[:, 2].sum() == kept.size == (256 if step == 0 else 64)
        left, right, counts = buckets.T
        np.testing.assert_allclose((left[0], right[-1]), (kept.min(), kept.max()), rtol=1e-6)
        np.testing.assert_array_equal(left[1:], right[:-1])
        inside = [((kept >= low) & (kept < high)).sum() for low, high in zip(left[:-1], right[:-1], strict=True)]
        np.testing.assert_array_equal(inside, counts[:-1])
    assert scalars(tmp_path, f"sparsity/{SECOND}") == {0: 0, 1: 0.75, 2: 0.75, 3: 0.75}


def test_centroids_of_weights_that_share_values(tmp_path):
    watch = Weights()
    fit([slim.callbacks.Summaries(tmp_path), slim.callbacks.WeightSharing(2, free_epochs=2, verbose=0), watch])
    plugin, steps = events(tmp_path)[f"centroids/{FIRST}"]
    assert plugin == "histograms"
    assert list(steps) == [2, 3]
    for step, buckets in steps.items():
        values, counts = np.unique(watch.seen[step][FIRST], return_counts=True)
        assert len(values) == 4
        np.testing.assert_allclose(buckets[:, :2].mean(axis=1), values, rtol=1e-6)
        np.testing.assert_array_equal(buckets[:, 2], counts)
        assert np.all(buckets[1:, 0] > buckets[:-1, 1])


def test_scores_are_those_that_a_cut_was_made_by(tmp_path):
    watch = Weights()
    model = fit([slim.callbacks.Summaries(tmp_path, update_freq=4, images=False), prune(), watch])
    scores = {tag: steps for tag, (_, steps) in events(tmp_path).items() if tag.startswith("scores/")}
    assert set(scores) == {"scores/first", "scores/second"}
    for name, path in (("first", FIRST), ("second", SECOND)):
        norms = np.linalg.norm(watch.seen[1][path], axis=0)  # when epoch 2 begins
        assert list(scores[f"scores/{name}"]) == [2]
        buckets = scores[f"scores/{name}"][2]
        np.testing.assert_allclose((buckets[0, 0], buckets[-1, 1]), (norms.min(), norms.max()), rtol=1e-5)
        assert buckets[:, 2].sum() == 16
    assert model.get_layer("first").units < 16


def test_scores_of_every_cut_are_written(tmp_path):
    lottery = slim.callbacks.StructuredLotteryTicket(2, 0.25, guards=slim.pruning.Guards(align=1), verbose=0)
    fit([slim.callbacks.Summaries(tmp_path, images=False), lottery], epochs=6)
    assert list(events(tmp_path)["scores/first"][1]) == [2, 4]


def picture(written):
    """Checks what an image holds, and returns its pixels."""
    width, height, png = written.tolist()
    assert png.startswith(PNG)
    pixels = tf.io.decode_png(png).numpy()
    assert pixels.shape[:2] == (int(height), int(width))
    return pixels


def test_a_picture_of_the_training_when_it_ends(tmp_path):
    fit([slim.callbacks.Summaries(tmp_path), prune()])
    plugin, steps = events(tmp_path)["pruning"]
    assert plugin == "images"
    assert list(steps) == [3]
    assert picture(steps[3]).std() > 0


@pytest.mark.parametrize("first", [True, False], ids=["before ours", "behind ours"])
def test_the_trajectory_grows_as_a_search_goes(first, tmp_path):
    ours, theirs = prune(max_drop=1e6, monitor="val_loss", window=(0, 0.75)), slim.callbacks.Summaries(tmp_path)
    fit([theirs, ours] if first else [ours, theirs], validation_data=batches(X, Y))
    assert len(ours.trajectory.points) > 2
    plugin, steps = events(tmp_path)["trajectory"]
    assert plugin == "images"
    judged = [point.epoch for point in ours.trajectory.points]
    assert list(steps) == (judged if first else judged[1:])  # the dense network alone, before another is judged
    assert len({picture(each).tobytes() for each in steps.values()}) == len(steps)


def test_images_can_be_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "plot_pruning", None)
    fit([slim.callbacks.Summaries(tmp_path, images=False), prune()])
    assert "images" not in {plugin for plugin, _ in events(tmp_path).values()}


def test_some_epochs_and_the_last_are_written(tmp_path):
    fit([slim.callbacks.Summaries(tmp_path, update_freq=2)])
    assert list(scalars(tmp_path, "widths/first")) == [0, 2, 3]
    assert list(events(tmp_path)[f"weights/{HEAD}"][1]) == [0, 2, 3]


def test_the_last_epoch_is_written_too_where_the_training_ends_early(tmp_path):
    stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=2)
    model = fit([slim.callbacks.Summaries(tmp_path, update_freq=5), stop], epochs=10)
    last = len(model.history.epoch) - 1
    assert 0 < last < 5
    assert list(scalars(tmp_path, "widths/first")) == list(scalars(tmp_path, "epoch_loss")) == [0, last]
    assert scalars(tmp_path, "epoch_loss")[last] == pytest.approx(model.history.history["loss"][-1])


class Adversarial(keras.Sequential):
    """Has losses by names of its own."""

    def train_step(self, data):
        return {f"d_{name}": value for name, value in super().train_step(data).items()}


def test_a_model_with_losses_of_other_names_is_drawn(tmp_path):
    model = Adversarial([keras.Input((4,)), *build().layers])
    model.compile("sgd", "mse", run_eagerly=True)
    fit([slim.callbacks.Summaries(tmp_path), prune()], model)
    assert picture(events(tmp_path)["pruning"][1][3]).std() > 0


def test_without_a_history_nothing_is_drawn_of_another_fit(tmp_path):
    model = fit([])
    callbacks = [slim.callbacks.Summaries(tmp_path), prune()]
    own = keras.callbacks.CallbackList(callbacks, add_history=False, model=model, epochs=4, steps=1, verbose=0)
    fit(own, model)
    assert "pruning" not in events(tmp_path)
    assert len(scalars(tmp_path, "widths/first")) == 4


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").touch()
    callback, watch = slim.callbacks.Summaries(tmp_path / "file" / "logs"), Weights()
    with pytest.raises(ValueError, match=r"`log_dir` of `Summaries`. Expected a folder in which files can be written"):
        fit([callback, watch])
    assert not watch.seen


def test_it_changes_nothing_and_serves_two_fits(tmp_path):
    callback, (watched, alone) = slim.callbacks.Summaries(tmp_path), (build(), build())
    for epoch in range(2):
        fit([callback], watched, initial_epoch=epoch, epochs=epoch + 1)
        fit([], alone, initial_epoch=epoch, epochs=epoch + 1)
    for mine, theirs in zip(watched.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert list(scalars(tmp_path, "epoch_loss")) == [0, 1]


def test_a_fit_that_is_interrupted_has_written_all_before(tmp_path):
    def interrupt(epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    callback = slim.callbacks.Summaries(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit([callback, keras.callbacks.LambdaCallback(on_epoch_begin=interrupt)])
    assert list(scalars(tmp_path, "epoch_loss")) == [0]
    fit([callback], initial_epoch=1)
    assert list(scalars(tmp_path, "epoch_loss")) == [0, 1, 2, 3]


def test_config_survives_json(tmp_path):
    config = json.loads(json.dumps(slim.callbacks.Summaries(tmp_path, 3, images=False).get_config()))
    assert slim.callbacks.Summaries.from_config(config).get_config() == config
    assert config == {"log_dir": str(tmp_path), "update_freq": 3, "images": False}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"log_dir": 3}, TypeError, "`log_dir` of `Summaries`. Expected the path of a folder. Received: log_dir=3"),
        ({"log_dir": "logs", "update_freq": 0}, ValueError, "`update_freq` of `Summaries`"),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        slim.callbacks.Summaries(**options)


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="TensorBoard is not installed")
@pytest.mark.parametrize("update_freq", ["epoch", 2])
def test_tensorboard_itself_reads_both(update_freq, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    theirs = keras.callbacks.TensorBoard(tmp_path, update_freq=update_freq, histogram_freq=1)
    fit([theirs, slim.callbacks.Summaries(tmp_path), prune()])

    def read(run):
        accumulator = EventAccumulator(str(tmp_path / run), size_guidance={"tensors": 0})
        accumulator.Reload()
        return accumulator

    keras_run, own = read("train"), read("keras_slim")
    units = [tf.make_ndarray(event.tensor_proto).item() for event in keras_run.Tensors("epoch_units")]
    if update_freq == "epoch":  # else Keras records those epochs alone whose last step is a multiple
        assert units == [32, 32, 16, 16]
    assert "epoch_units" not in own.Tags()["tensors"]
    assert len(own.Tensors("widths/first")) == 4
    for plugin, tag in (("scalars", "widths/first"), ("histograms", f"weights/{FIRST}"), ("images", "pruning")):
        assert own.SummaryMetadata(tag).plugin_data.plugin_name == plugin
