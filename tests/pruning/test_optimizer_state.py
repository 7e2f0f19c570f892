"""Every optimizer that Keras has, cut in the middle of its work."""

import keras
import numpy as np
import pytest
from every_optimizer import VARIANTS
from keras import layers

from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph import analyse
from keras_slim.pruning.optimizer_state import OptimizerCut
from keras_slim.pruning.surgery import rebuild


def trained(optimizer):
    # No ReLU: Adafactor divides zero by zero where a unit is dead.
    inputs = keras.Input((6, 6, 2))
    x = layers.Activation("tanh")(layers.BatchNormalization()(layers.Conv2D(12, 3, name="conv")(inputs)))
    x = layers.Dense(10, "tanh", name="hidden")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    model.compile(optimizer, "mse", run_eagerly=True)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 6, 6, 2)), rng.normal(size=(24, 2))
    for half in (slice(12), slice(12, None)):
        model.train_on_batch(x[half], y[half])
    return model, x, y


def cut(model, every=2):
    """Cuts a model; its optimizer is that of the smaller one afterwards."""
    graph = analyse(model)
    keep = np.arange(graph.num_units) % every == 0
    small, transfers = rebuild(graph, keep)
    OptimizerCut(model.optimizer, transfers).exchange()
    return small, transfers, model.optimizer


@pytest.mark.parametrize("name", VARIANTS)
def test_state_is_cut_like_the_weights(name):
    model, x, y = trained(VARIANTS[name]())
    old = [variable.numpy() for variable in model.optimizer.variables]
    small, transfers, optimizer = cut(model)
    kept = {transfer.old.path: transfer.kept for transfer in transfers}
    assert len(optimizer.variables) == len(old)
    number_cut = 0
    for before, variable in zip(old, optimizer.variables, strict=True):
        after = variable.numpy()
        if before.shape == after.shape:
            np.testing.assert_array_equal(after, before)
        elif before.ndim == len(after.shape):
            number_cut += 1
            owners = [path for path in kept if path.replace("/", "_") in variable.path]
            if len(owners) == 1 and len(kept[owners[0]]) and before.ndim == len(small_shape(transfers, owners[0])):
                expected = before
                for axis, positions in kept[owners[0]].items():
                    expected = np.take(expected, positions, axis=axis)
                np.testing.assert_array_equal(after, expected)
    assert number_cut or all(np.ndim(value) == 0 for value in old)
    small.compile(optimizer, "mse", run_eagerly=True)
    small.train_on_batch(x, y)
    assert all(np.isfinite(weight).all() for weight in small.get_weights())


COPIES = {"Adam with EMA": "_model_variables_moving_average", "ScheduleFreeAdamW": "_momentums"}


@pytest.mark.parametrize("name", VARIANTS)
def test_copies_of_the_weights_change_as_the_weights_do(name):
    """What a cut was made up for with is added to averages and their like, and to nothing that comes of gradients."""
    model, _, _ = trained(VARIANTS[name]())
    graph = analyse(model)
    small, transfers = rebuild(graph, np.arange(graph.num_units) % 2 == 0)
    plain, optimizer = OptimizerCut(model.optimizer, transfers), model.optimizer
    for weight in small.trainable_variables:
        weight.assign(weight + 0.5)
    changed = OptimizerCut(optimizer, transfers)
    plain.exchange()
    before = [variable.numpy() for variable in optimizer.variables]
    plain.exchange()
    changed.exchange()
    copies = {id(slot) for slot in vars(optimizer).get(COPIES.get(name), [])}
    assert len(copies) == (len(small.trainable_variables) if name in COPIES else 0)
    for old, variable in zip(before, optimizer.variables, strict=True):
        np.testing.assert_allclose(variable.numpy(), old + 0.5 * (id(variable) in copies), rtol=1e-6, atol=1e-6)


def small_shape(transfers, path):
    return next(transfer.old.shape for transfer in transfers if transfer.old.path == path)


def test_adafactor_moments_are_cut_along_the_axes_they_kept():
    model, _, _ = trained(keras.optimizers.Adafactor(0.01))
    index = [variable.path for variable in model.trainable_variables].index("hidden/kernel")
    before = {name: vars(model.optimizer)[name][index].numpy() for name in ("_r", "_c")}
    _, transfers, optimizer = cut(model)
    kept = next(transfer.kept for transfer in transfers if transfer.old.path == "hidden/kernel")
    for name, axis in (("_r", 0), ("_c", 1)):
        after = vars(optimizer)[name][index].numpy()
        np.testing.assert_array_equal(after, before[name][kept[axis]])
        assert np.abs(after).max() > 0


def test_iterations_learning_rate_and_schedule_carry_on():
    model, _, _ = trained(keras.optimizers.Adam(0.01))
    model.optimizer.learning_rate = 0.003
    _, _, optimizer = cut(model)
    assert int(optimizer.iterations) == 2
    assert float(optimizer.learning_rate) == pytest.approx(0.003)
    model, _, _ = trained(VARIANTS["Adam with a schedule"]())
    before = float(model.optimizer.learning_rate)
    _, _, optimizer = cut(model)
    assert float(optimizer.learning_rate) == pytest.approx(before)


@pytest.mark.parametrize("scaled", [False, True])
def test_what_decay_leaves_out_is_left_out_again(scaled):
    inner = keras.optimizers.AdamW(0.01)
    inner.exclude_from_weight_decay(var_names=["bias"])
    model, _, _ = trained(keras.optimizers.LossScaleOptimizer(inner) if scaled else inner)
    small, _, optimizer = cut(model)
    optimizer = optimizer.inner_optimizer if scaled else optimizer
    for variable in small.trainable_variables:
        assert optimizer._use_weight_decay(variable) == ("bias" not in variable.path)


def test_a_checkpoint_of_tensorflow_sees_the_cut_state_of_an_inner_optimizer(tmp_path):
    import tensorflow as tf

    model, _, _ = trained(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)))
    inner = model.optimizer.inner_optimizer
    _, _, optimizer = cut(model)
    assert optimizer.inner_optimizer is inner
    tf.train.Checkpoint(optimizer=optimizer).write(str(tmp_path / "state"))
    before = [variable.numpy() for variable in inner.variables]
    for variable in inner.variables:
        variable.assign(np.ones(variable.shape))
    tf.train.Checkpoint(optimizer=optimizer).read(str(tmp_path / "state"))
    for old, variable in zip(before, inner.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


def test_the_exchange_can_be_undone():
    model, x, y = trained(keras.optimizers.Adam(0.01))
    before = [variable.numpy() for variable in model.optimizer.variables]
    graph = analyse(model)
    _, transfers = rebuild(graph, np.arange(graph.num_units) % 2 == 0)
    exchange = OptimizerCut(model.optimizer, transfers)
    exchange.exchange()
    exchange.exchange()
    for old, variable in zip(before, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    model.fit(x, y, epochs=1, batch_size=12, verbose=0)


def test_an_optimizer_that_has_not_started_is_left_as_it_is():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8), layers.Dense(2)])
    graph = analyse(model)
    small, transfers = rebuild(graph, np.arange(8) < 4)
    optimizer = keras.optimizers.Adam(0.02)
    OptimizerCut(optimizer, transfers).exchange()
    assert not optimizer.built
    small.compile(optimizer, "mse")
    small.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)


@keras.saving.register_keras_serializable("tests")
class Hiding(keras.optimizers.SGD):
    """Keeps a slot where nobody can tell whose it is."""

    def build(self, variables):
        super().build(variables)
        self.hidden = {"slot": self.add_variable_from_reference(variables[0], name="hidden")}


def test_state_that_belongs_nowhere_is_refused_before_anything_is_changed():
    model, _, _ = trained(Hiding(0.01))
    with pytest.raises(UnsupportedLayerError, match="Hiding keeps a state .*hidden.* Expected lists"):
        cut(model)
