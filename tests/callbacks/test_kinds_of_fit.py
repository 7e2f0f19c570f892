"""The ways in which `fit` can be run, each of which prunes as the plain one does."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from batching import batches

KINDS = pytest.mark.parametrize("kind", ["sequential", "functional"])


def units(model):
    return model.get_layer("first").units + model.get_layer("second").units


class Batches(keras.utils.PyDataset):
    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return tuple(array[16 * index : 16 * index + 16] for array in self.arrays)


@pytest.mark.slow
@KINDS
@pytest.mark.parametrize(
    "options",
    [
        {"run_eagerly": True},
        {"run_eagerly": False},
        {"run_eagerly": False, "jit_compile": True},
        {"run_eagerly": False, "jit_compile": False},
        {"run_eagerly": False, "steps_per_execution": 4},
    ],
    ids=str,
)
def test_every_way_to_compile_a_step(build, prune, x, y, kind, options):
    model = build(keras.optimizers.Adam(0.01), kind=kind, metrics=["mae"], **options)
    history = model.fit(
        x,
        y,
        epochs=6,
        batch_size=6,
        verbose=0,
        validation_split=0.25,
        callbacks=[prune(criterion="taylor", data=(x, y))],
    ).history
    assert units(model) == 16
    assert history["val_loss"][-1] < history["val_loss"][0]
    assert model.optimizer.iterations == 6 * 6


@KINDS
def test_compiled_and_eager_steps_give_the_same_losses(build, prune, x, y, kind):
    losses = []
    for run_eagerly in (True, False):
        keras.utils.set_random_seed(2)
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
        model = build(optimizer, kind=kind, run_eagerly=run_eagerly, jit_compile=False)
        losses.append(model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune()]).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_a_compiled_step_is_compiled_anew_for_the_smaller_network(build, prune, watch, x, y):
    model, seen = build(run_eagerly=False, jit_compile=False), watch(lambda model: model.train_function)
    model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune(), seen])
    assert seen.after[0] is not seen.after[1]
    assert seen.after[1] is seen.after[2]  # no cut between these


def test_a_generator_of_just_enough_batches_will_do(build, prune, x, y):
    pairs = ((x[first : first + 8], y[first : first + 8]) for first in (0, 8, 16, 24))
    pruning = prune(criterion="taylor", rounds=2, data=pairs, steps=2)
    build().fit(batches(x, y, 24), epochs=4, verbose=0, callbacks=[pruning])
    assert len(pruning.rounds_done) == 2


@pytest.mark.parametrize("form", ["dataset", "PyDataset", "generator"])
def test_training_data_in_any_form(build, prune, x, y, form):
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    pairs = [(x[first : first + 16], y[first : first + 16]) for first in (0, 16, 32)]
    endless = (batch for batch in itertools.cycle(pairs))
    data = {"dataset": dataset, "PyDataset": Batches(x, y), "generator": endless}[form]
    model, steps = build(), 3 if form == "generator" else None
    ours = prune(criterion="taylor", data=dataset, steps=2, rounds=1)
    model.fit(
        data, epochs=2, steps_per_epoch=steps, shuffle=False, verbose=0, validation_data=dataset, callbacks=[ours]
    )
    assert units(model) == 16


def test_the_dataset_that_is_trained_on_may_be_the_one_that_is_looked_at(build, prune, x, y):
    """An endless dataset of training, with `steps`, is enough."""
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(48, seed=1).batch(16).repeat()
    model = build()
    ours = prune(criterion="taylor", data=dataset, steps=3, rounds=1)
    model.fit(dataset, epochs=2, steps_per_epoch=3, shuffle=False, verbose=0, callbacks=[ours])
    assert units(model) == 16


def test_sample_weights_class_weights_and_validation_split(prune, x):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"], run_eagerly=True)
    labels, weight = (x[:, 0] > 0).astype(int), np.linspace(0, 1, 48)
    ours = prune(criterion="taylor", data=(x, labels, weight), rounds=1)
    options = {"epochs": 2, "batch_size": 48, "verbose": 0, "callbacks": [ours]}
    history = model.fit(x, labels, sample_weight=weight, validation_split=0.25, **options).history
    assert {"accuracy", "val_accuracy", "val_loss"} <= set(history)
    model.fit(x, labels, class_weight={0: 1.0, 1: 3.0}, **{**options, "callbacks": None})
    assert model.layers[0].units == 4


@pytest.mark.parametrize("named", [False, True])
def test_several_inputs_and_outputs_with_their_own_losses_and_metrics(prune, x, y, named):
    wide, narrow = keras.Input((4,), name="wide"), keras.Input((2,), name="narrow")
    hidden = keras.layers.Dense(8, "relu", name="hidden")(keras.layers.Concatenate()([wide, narrow]))
    number, kind = keras.layers.Dense(2, name="number")(hidden), keras.layers.Dense(3, "softmax", name="kind")(hidden)
    losses = {"number": "mse", "kind": "sparse_categorical_crossentropy"}
    metrics = {"number": ["mae"], "kind": ["accuracy"]}
    data = {"wide": x, "narrow": x[:, :2]}, {"number": y, "kind": np.arange(48) % 3}
    outputs = {"number": number, "kind": kind}
    if named:
        model = keras.Model({"wide": wide, "narrow": narrow}, outputs)
    else:
        model = keras.Model([wide, narrow], [number, kind])
        losses, metrics, data = (
            list(losses.values()),
            list(metrics.values()),
            tuple(list(part.values()) for part in data),
        )
    model.compile("sgd", losses, metrics=metrics, loss_weights=[1.0, 0.5] if not named else None, run_eagerly=True)
    history = model.fit(
        *data, epochs=2, batch_size=48, verbose=0, callbacks=[prune(criterion="taylor", data=data, rounds=1)]
    ).history
    assert model.get_layer("hidden").units == 4
    assert {"number_mae", "kind_accuracy", "number_loss", "kind_loss"} <= set(history)
    expected = model.predict(data[0], verbose=0)
    assert set(expected) == {"number", "kind"} if named else len(expected) == 2
    assert np.isfinite(history["loss"]).all()


@pytest.fixture
def mixed_precision(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("mixed_precision", ["mixed_float16", "mixed_bfloat16"], indirect=True)
def test_mixed_precision_keeps_its_loss_scale(build, prune, watch, x, y, mixed_precision):
    model = build("sgd", run_eagerly=False, jit_compile=False)
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (mixed_precision == "mixed_float16")
    seen = watch(lambda model: [float(value) for value in model.optimizer.variables if value.shape == ()])
    ours = prune(criterion="taylor", data=(x, y), rounds=1)
    history = model.fit(batches(x, y), epochs=3, verbose=0, callbacks=[seen, ours, seen]).history
    assert units(model) == 16
    assert seen.before[0::2] == seen.before[1::2]
    assert np.isfinite(history["loss"]).all()
    assert type(model.optimizer) is (keras.optimizers.LossScaleOptimizer if scaled else keras.optimizers.SGD)
    assert model.get_layer("first").compute_dtype == mixed_precision.removeprefix("mixed_")


class Doubled(keras.Model):
    """A model with a `train_step` and a metric of its own, and an attribute that names one of its layers."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tracker = keras.metrics.Mean(name="tracked")
        self.favourite = self.get_layer("first")
        self.steps = 0

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = 2 * self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.tracker.update_state(loss)
        self.steps += 1
        return {"tracked": self.tracker.result()}

    @property
    def metrics(self):
        return [self.tracker]


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_a_models_own_class_train_step_and_metrics_stay(build, prune, x, y, run_eagerly):
    model = build("sgd", kind="functional", cls=Doubled, run_eagerly=run_eagerly, jit_compile=False)
    history = model.fit(
        batches(x, y, 24), epochs=4, verbose=0, callbacks=[prune(criterion="taylor", data=(x, y), rounds=1)]
    ).history
    assert type(model) is Doubled
    assert units(model) == 16
    assert len(history["tracked"]) == 4
    assert model.tracker in model.metrics
    assert model.favourite is model.get_layer("first")
    assert model.steps == 8 if run_eagerly else 2 <= model.steps < 8  # traced at first, and after the cut
    model.fit(batches(x, y), verbose=0)


class WithTeacher(keras.Model):
    """A model that holds another one, and a scale that it trains beside its layers."""

    def __init__(self, *args, teacher, **kwargs):
        super().__init__(*args, **kwargs)
        self.teacher = teacher
        self.projection = keras.layers.Dense(2, use_bias=False)
        self.projection.build((None, 2))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.square(self.projection(y_pred) - self.teacher(x)))


def test_layers_that_a_model_holds_beside_its_graph_stay_and_train_on(build, prune, watch, x, y):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(16, name="first")(inputs)
    hidden = keras.layers.Dense(16, name="second")(hidden)
    teacher = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    teacher.trainable = False
    model = WithTeacher(inputs, keras.layers.Dense(2)(hidden), teacher=teacher)
    model.compile("sgd", run_eagerly=True)
    seen = watch(lambda model: (len(model.variables), model.projection.kernel.numpy()))
    model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune(), seen])
    assert model.teacher is teacher
    assert len({found[0] for found in seen.at_end}) == 1
    assert (seen.at_end[-1][1] != seen.at_end[-2][1]).any()
