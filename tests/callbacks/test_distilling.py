"""Learning from the dense network while pruning: from the first cut on, over all cuts, and not a step longer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from batching import batches

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError

MEAN_SQUARES = slim.distillation.Distillation(keras.distillation.FeatureDistillation("mse"), student_loss_weight=0.25)
KINDS = pytest.mark.parametrize("run_eagerly", [True, False], ids=["eager", "compiled"])
# What is left behind may be in a compiled step too: where that is the question, eager steps show no more.
MOSTLY_COMPILED = pytest.mark.parametrize(
    "run_eagerly", [pytest.param(True, marks=pytest.mark.slow), False], ids=["eager", "compiled"]
)


def still(build, **options):
    """A model that training does not change, so that its loss can be worked out afterwards."""
    model = build(keras.optimizers.SGD(0.0), **{"jit_compile": False, **options})
    model.get_layer("norm").momentum = 1.0
    return model


def fit(model, x, y, *callbacks, **options):
    data, options = batches(x, y), {"epochs": 4, "verbose": 0, **options}
    return model.fit(data, callbacks=callbacks, validation_data=data, **options).history


def mean_squares(one, two):
    return float(np.square(one - two).mean())


@KINDS
def test_each_epoch_has_the_loss_worked_out_by_hand(build, prune, x, y, run_eagerly):
    """Cut when epochs 1 and 3 begin. The teacher is the dense network, at inference, through both."""
    model, outputs = still(build, run_eagerly=run_eagerly), []
    taught = model(x).numpy()
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: outputs.append(model(x, training=True).numpy()))
    history = fit(model, x, y, prune(distillation=MEAN_SQUARES), note)
    own = [mean_squares(y, each) for each in outputs]
    learnt = [mean_squares(taught, each) for each in outputs]
    expected = [own[0], *(0.25 * one + 0.75 * two for one, two in zip(own[1:], learnt[1:], strict=True))]
    assert history["loss"] == pytest.approx(expected, rel=1e-4)
    assert learnt[1] > 1e-3
    assert abs(learnt[3] - learnt[1]) > 1e-3


@MOSTLY_COMPILED
def test_validation_and_whatever_follows_is_plain(build, prune, x, y, run_eagerly):
    model = still(build, run_eagerly=run_eagerly)
    fit(model, x, y, epochs=1)  # Keras itself adds attributes in `fit`
    attributes = set(vars(model))
    history = fit(model, x, y, prune(distillation=MEAN_SQUARES))
    assert history["val_loss"][-1] == pytest.approx(mean_squares(y, model(x).numpy()), rel=1e-4)
    assert model.evaluate(batches(x, y), verbose=0) == history["val_loss"][-1]
    plain = mean_squares(y, model(x, training=True).numpy())
    assert fit(model, x, y, epochs=1)["loss"] == pytest.approx([plain], rel=1e-4)
    assert set(vars(model)) <= attributes


@MOSTLY_COMPILED
def test_an_interrupted_fit_teaches_no_longer(build, prune, x, y, run_eagerly):
    def interrupt(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    model, ours = still(build, run_eagerly=run_eagerly), prune(distillation=MEAN_SQUARES)
    with pytest.raises(KeyboardInterrupt):
        fit(model, x, y, ours, keras.callbacks.LambdaCallback(on_epoch_end=interrupt))
    plain = mean_squares(y, model(x, training=True).numpy())
    assert fit(model, x, y, epochs=1)["loss"] == pytest.approx([plain], rel=1e-4)
    fit(model, x, y, ours)
    assert not {"compute_loss", "make_train_function"} & set(vars(model))


def test_a_network_that_goes_back_to_the_dense_one_learns_from_itself(build, prune, x, y):
    model = still(build)
    own = mean_squares(y, model(x, training=True).numpy())
    learnt = mean_squares(model(x).numpy(), model(x, training=True).numpy())  # batch norm is all that differs
    script = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(val_it=0.5 ** min(epoch, 1)))
    search = {"ratio": None, "max_drop": 0, "monitor": "val_it", "mode": "max", "patience": 1, "ratio_per_round": 0.25}
    history = fit(model, x, y, script, prune(distillation=MEAN_SQUARES, **search))
    assert history["units"] == [32, 24, 32, 32]
    assert history["loss"][3] == pytest.approx(0.25 * own + 0.75 * learnt, rel=1e-4)


def test_whole_models_are_saved_meanwhile(build, prune, x, y, tmp_path):
    model = build()
    saved = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    fit(model, x, y, prune(distillation=MEAN_SQUARES), saved)
    loaded = keras.models.load_model(tmp_path / "4.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


class WithoutInputs(keras.Model):
    """Has the `train_step` of Keras's guide."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


@MOSTLY_COMPILED
@pytest.mark.parametrize("window", [(0.25, 0.75), (0.0, 0.5)], ids=["trained before it is cut", "cut at once"])
def test_a_step_without_inputs_is_refused(build, prune, x, y, window, run_eagerly):
    model = build(kind="functional", cls=WithoutInputs, run_eagerly=run_eagerly, jit_compile=False)
    model.fit(batches(x, y), verbose=0)  # compiles the step
    with pytest.raises(UnsupportedLayerError, match=r"`WithoutInputs` calls `compute_loss` without `x`.*Pass `x=x`"):
        fit(model, x, y, prune(distillation=MEAN_SQUARES, window=window))
    assert model.optimizer.iterations == 1
    assert model.get_layer("first").units == 16 or window[0] == 0
    assert not {"compute_loss", "make_train_function"} & set(vars(model))
    model.fit(batches(x, y), verbose=0)


def test_what_cannot_be_taught_is_refused_before_training(build, prune, x, y):
    class Own(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return super().compute_loss(x, y, y_pred, sample_weight)

    model = build(kind="functional", cls=Own)
    with pytest.raises(UnsupportedLayerError, match=r"`Own`.*argument `training`"):
        fit(model, x, y, prune(distillation=MEAN_SQUARES))
    two = slim.distillation.Distillation(keras.distillation.FeatureDistillation(["mse", "mae"]))
    model = build()
    with pytest.raises(ValueError, match=r"`distillation` of `ProgressiveGlobalPruning`.*outputs of shape \(1, 2\)"):
        fit(model, x, y, prune(distillation=two))
    assert model.optimizer.iterations == 0
