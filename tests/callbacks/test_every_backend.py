"""What Keras does in its own way on each backend: `tox -e torch` and `tox -e jax` run this file too."""

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.pruning.adopt import adopt
from keras_slim.pruning.snapshot import Snapshot
from keras_slim.pruning.surgery import rebuild

KINDS = ("sequential", "functional")
HALF = slim.pruning.Guards(align=1)


class Twin(keras.callbacks.Callback):
    """Copies the model when it has become small, and counts the epochs it goes on from there."""

    model_of_then, epochs = None, 0

    def on_epoch_begin(self, epoch, logs=None):
        if self.model_of_then is None and self.model.get_layer("first").units < 16:
            self.model_of_then = keras.models.clone_model(self.model)
            self.model_of_then.set_weights(self.model.get_weights())

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += self.model_of_then is not None


def train(model, x, y, epochs, *callbacks):
    return model.fit(x, y, batch_size=24, epochs=epochs, shuffle=False, verbose=0, callbacks=[*callbacks])


def assert_same_weights(one, other):
    for mine, others in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, others, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_cut_in_fit_trains_as_a_small_model_of_its_own(build, prune, x, y, kind):
    model, twin = build(keras.optimizers.SGD(0.1), kind=kind), Twin()
    train(model, x, y, 3, prune(rounds=1), twin)
    assert model.get_layer("first").units == 8
    assert twin.epochs
    alone = twin.model_of_then
    alone.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    train(alone, x, y, twin.epochs)
    assert_same_weights(model, alone)


@pytest.mark.parametrize("kind", KINDS)
def test_a_ticket_trained_in_fit_is_the_ticket_trained_alone(build, x, y, kind):
    model = build(keras.optimizers.SGD(0.1), kind=kind)
    lottery = slim.callbacks.StructuredLotteryTicket(rounds=1, ratio=0.5, criterion="l2", guards=HALF, verbose=0)
    train(model, x, y, 4, lottery)
    ticket = lottery.ticket
    assert ticket.count_params() == model.count_params() < build(kind=kind).count_params()
    ticket.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    train(ticket, x, y, 2)
    assert_same_weights(model, ticket)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_went_back_trains_as_one_that_was_never_cut(build, x, y, kind):
    model, alone = (build(keras.optimizers.SGD(0.1), kind=kind) for _ in range(2))
    train(model, x, y, 1)
    snapshot = Snapshot(model)
    alone.set_weights(model.get_weights())
    graph = analyse(model)
    adopt(model, *rebuild(graph, np.arange(graph.num_units) % 2 == 0))
    train(model, x, y, 1)
    snapshot.restore()
    train(model, x, y, 1)
    train(alone, x, y, 1)
    assert_same_weights(model, alone)


class Ties(keras.callbacks.Callback):
    """Checks after each epoch that the weights of each code are the same, those of code 0 zero."""

    def __init__(self, sharing, kernel):
        super().__init__()
        self.sharing, self.kernel = sharing, kernel
        self.values = []

    def on_epoch_end(self, epoch, logs=None):
        (codes,) = (each for path, each in self.sharing.codes.items() if path.endswith("second/kernel"))
        value = self.kernel.numpy()
        groups = [value[codes == code] for code in range(codes.max() + 1)]
        assert not groups[0].any()
        assert all((group == group[0]).all() for group in groups[1:])
        self.values.append([group[0] for group in groups[1:]])


@pytest.mark.parametrize("sparsity", [0, 0.75])  # above a half, only what is not zero is looked at
def test_tied_weights_learn_and_stay_tied(build, x, y, sparsity):
    model = build("adam")
    kernel = model.get_layer("second").kernel
    kernel.assign(kernel.numpy() * (np.random.default_rng(0).random(kernel.shape) >= sparsity))
    zeros = kernel.numpy() == 0
    sharing = slim.callbacks.WeightSharing(bits=2, verbose=0)
    ties = Ties(sharing, kernel)
    train(model, x, y, 2, sharing, ties)
    assert len(ties.values) == 2
    assert all(np.ptp(learned) > 0 for learned in np.transpose(ties.values))
    np.testing.assert_array_equal(kernel.numpy() == 0, zeros)


@pytest.mark.parametrize(
    "criterion", ["taylor", "fisher", slim.scoring.Product(["l2", "fisher"])], ids=["taylor", "fisher", "product"]
)
@pytest.mark.parametrize("make", ["ProgressiveGlobalPruning", "StructuredLotteryTicket"])
def test_a_fit_follows_the_loss_back_to_the_units_to_cut(build, x, y, make, criterion):
    model, dense = build(), build()
    hidden = [dense.get_layer(name).units for name in ("first", "second")]
    options = {"rounds": 1, "ratio": 0.5, "data": (x, y), "guards": HALF, "verbose": 0}
    train(model, x, y, 2, getattr(slim.callbacks, make)(criterion=criterion, **options))
    assert sum(model.get_layer(name).units for name in ("first", "second")) < sum(hidden)
    assert np.isfinite(keras.ops.convert_to_numpy(model(x))).all()


@keras.saving.register_keras_serializable("tests")
class Watched(keras.layers.Layer):
    """Hands on its input, and notes whether the backend would remember it for a gradient."""

    seen: list[bool] = []

    def call(self, inputs):
        self.seen.append(getattr(inputs, "requires_grad", False) and not isinstance(inputs, keras.KerasTensor))
        return inputs


@pytest.mark.parametrize("criterion", ["mean_activation", "oracle"])
def test_looking_at_data_remembers_nothing_for_gradients(x, y, criterion):
    layers = [keras.layers.Dense(8, "relu"), Watched(), keras.layers.Dense(8, "relu"), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile("sgd", "mse")
    Watched.seen.clear()
    slim.prune(model, 0.5, data=(x, y), criterion=criterion, guards=HALF)
    assert len(Watched.seen) > 2
    assert not any(Watched.seen)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_trained_with_few_bits_in_fit_trains_as_its_twin_alone(build, x, y, kind):
    model, same = (build(keras.optimizers.SGD(0.1, momentum=0.9), kind=kind) for _ in range(2))
    same.set_weights(model.get_weights())
    alone = slim.quantize(same, slim.quantizers.Int(3), "int", skip=())
    alone.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", run_eagerly=True)
    train(model, x, y, 2, slim.callbacks.QuantizationAwareTraining(3, frozen_epochs=0, verbose=0))
    train(alone, x, y, 2)
    assert isinstance(model.get_layer("first"), slim.layers.QuantDense)
    assert_same_weights(model, alone)
    means = keras.ops.convert_to_numpy(model.get_layer("norm").moving_mean)
    train(model, x, y, 1, slim.callbacks.QuantizationAwareTraining(3, frozen_epochs=1, verbose=0))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.get_layer("norm").moving_mean), means)
