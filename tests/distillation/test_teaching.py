"""What a step with a teacher does, beside one written by hand, and what is left when the teaching ends."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_slim.distillation import Distillation
from keras_slim.distillation.teaching import Teaching, check_teachable, end_in_softmax
from keras_slim.errors import UnsupportedLayerError

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(12, 4)).astype("float32"), RNG.integers(0, 3, 12)
WEIGHT, TEMPERATURE = 0.3, 2.0
HINTON = Distillation(keras.distillation.LogitsDistillation(TEMPERATURE), student_loss_weight=WEIGHT)
CROSSENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def build(width=5, softmax=False, cls=keras.Model, **options):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(width, "tanh", name="hidden")(inputs)
    model = cls(inputs, keras.layers.Dense(3, "softmax" if softmax else None, name="head")(hidden))
    loss = "sparse_categorical_crossentropy" if softmax else CROSSENTROPY
    model.compile(keras.optimizers.SGD(0.1), **{"loss": loss, "run_eagerly": True, **options})
    return model


def fit(model, **options):
    return model.fit(X, LABELS, **{"batch_size": 12, "shuffle": False, "verbose": 0, **options}).history


class Taught(keras.callbacks.Callback):
    """Teaches from the first epoch on, and calls something at the end of each."""

    def __init__(self, teaching, then=lambda: None):
        super().__init__()
        self.teaching, self.then = teaching, then

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 0:
            self.teaching.begin()
            self.model.make_train_function(force=True)

    def on_epoch_end(self, epoch, logs=None):
        self.then()

    def on_train_end(self, logs=None):
        self.teaching.end()


def step_by_hand(student, teacher, sample_weight=None):
    """The loss of Hinton et al., and the weights after a step of 0.1 down its slope, from the definition."""
    weights = [tf.Variable(value) for value in student.get_weights()]
    said = tf.nn.softmax(teacher_logits(teacher) / TEMPERATURE)
    with tf.GradientTape() as tape:
        logits = tf.tanh(X @ weights[0] + weights[1]) @ weights[2] + weights[3]
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, logits)
        own = tf.reduce_mean(each if sample_weight is None else each * sample_weight)
        answered = tf.nn.softmax(logits / TEMPERATURE)
        distilled = TEMPERATURE**2 * tf.reduce_mean(tf.reduce_sum(said * tf.math.log(said / answered), axis=-1))
        loss = WEIGHT * own + (1 - WEIGHT) * distilled
    slopes = tape.gradient(loss, weights)
    return float(loss), [weight.numpy() - 0.1 * slope.numpy() for weight, slope in zip(weights, slopes, strict=True)]


def teacher_logits(teacher):
    kernels = teacher.get_weights()
    return tf.tanh(X @ kernels[0] + kernels[1]) @ kernels[2] + kernels[3]


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"run_eagerly": False}], ids=["eager", "compiled"])
def test_a_step_is_the_one_written_by_hand(softmax, options):
    """Whether the networks end in logits or in a softmax."""
    teacher, student = build(7, softmax), build(5, softmax, **options)
    teacher.get_layer("head").kernel.assign(3 * teacher.get_layer("head").kernel)
    loss, expected = step_by_hand(student, teacher)
    before = teacher.get_weights()
    history = fit(student, callbacks=[Taught(Teaching(student, teacher, HINTON))])
    assert history["loss"] == pytest.approx([loss], rel=1e-5)
    for found, wanted in zip(student.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    for old, new in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_sample_weights_and_regularisers_of_the_model_count():
    teacher, student = build(7), build()
    student.get_layer("hidden").kernel.regularizer = keras.regularizers.L2(0.5)
    decay = 0.5 * np.square(student.get_layer("hidden").kernel.numpy()).sum()
    sample_weight = np.linspace(0, 2, 12).astype("float32")
    loss, _ = step_by_hand(student, teacher, sample_weight)
    history = fit(student, sample_weight=sample_weight, callbacks=[Taught(Teaching(student, teacher, HINTON))])
    assert history["loss"] == pytest.approx([loss + WEIGHT * decay], rel=1e-5)


@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"run_eagerly": False}], ids=["eager", "compiled"])
def test_validation_knows_no_teacher(options):
    student = build(**options)
    history = fit(student, validation_data=(X, LABELS), callbacks=[Taught(Teaching(student, build(7), HINTON))])
    plain = float(CROSSENTROPY(LABELS, student(X)))
    assert history["val_loss"] == pytest.approx([plain], rel=1e-5)
    assert student.evaluate(X, LABELS, verbose=0) == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"run_eagerly": False}], ids=["eager", "compiled"])
@pytest.mark.parametrize("recompiled", [False, True])
def test_a_fit_after_an_interrupted_one_is_plain(options, recompiled):
    def interrupt():
        raise KeyboardInterrupt

    student = build(**options)
    fit(student)
    attributes = set(vars(student))
    with pytest.raises(KeyboardInterrupt):
        fit(student, callbacks=[Taught(Teaching(student, build(7), HINTON), then=interrupt)])
    if recompiled:
        student.compile(keras.optimizers.SGD(0.1), loss=CROSSENTROPY, **options)
    plain = float(CROSSENTROPY(LABELS, student(X)))
    assert fit(student)["loss"] == pytest.approx([plain], rel=1e-5)
    assert set(vars(student)) <= attributes


def test_the_model_is_saved_as_ever_while_it_is_taught(tmp_path):
    student = build()
    names = [value.path for value in student.variables]

    def save():
        student.save(tmp_path / "model.keras")
        student.save_weights(tmp_path / "model.weights.h5")
        assert [value.path for value in student.variables] == names

    fit(student, callbacks=[Taught(Teaching(student, build(7), HINTON), then=save)])
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X), student(X))
    assert loaded.count_params() == 5 * 5 + 6 * 3
    fit(loaded)
    loaded.load_weights(tmp_path / "model.weights.h5")


class Own(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return 2 * super().compute_loss(x, y, y_pred, sample_weight, training)


class WithoutTraining(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return 2 * super().compute_loss(x, y, y_pred, sample_weight)


def test_a_models_own_loss_stays_its_own():
    student = build(cls=Own)
    teacher = keras.models.clone_model(student)
    teacher.set_weights(student.get_weights())  # it says the same, so that nothing is added
    own = 2 * float(CROSSENTROPY(LABELS, student(X)))
    history = fit(student, callbacks=[Taught(Teaching(student, teacher, HINTON))])
    assert history["loss"] == pytest.approx([WEIGHT * own], rel=1e-5)


def test_a_loss_put_on_the_object_comes_back():
    student = build()
    student.compute_loss = own = lambda x, y, y_pred, sample_weight, training: keras.ops.sum(y_pred**2)
    fit(student, callbacks=[Taught(Teaching(student, build(7), HINTON))])
    assert vars(student)["compute_loss"] is own


def test_a_loss_that_does_not_know_training_is_refused():
    with pytest.raises(UnsupportedLayerError, match=r"`WithoutTraining`.*`training`.*Give it `training=True`"):
        check_teachable(build(cls=WithoutTraining), HINTON, "prune")


def test_a_loss_that_does_not_fit_the_outputs_is_refused():
    with pytest.raises(ValueError, match=r"`distillation` of `prune`.*outputs of shape \[\(1, 2\), \(1, 2\)\]"):
        check_teachable(nested(), HINTON, "prune")
    check_teachable(build(), HINTON, "prune")


@pytest.mark.parametrize("named", [False, True])
def test_the_loss_that_the_refusal_names_fits(named):
    inputs = keras.Input((4,))
    outputs = {name: keras.layers.Dense(2, name=name)(inputs) for name in ("kind", "size")}
    model = keras.Model(inputs, outputs if named else list(outputs.values()))
    with pytest.raises(ValueError, match="one loss each") as refused:
        check_teachable(model, HINTON, "prune")
    named_loss = re.search(r"`LogitsDistillation\(loss=(.*)\)`", str(refused.value))[1]
    loss = eval(named_loss, {"KLDivergence": keras.losses.KLDivergence})
    check_teachable(model, Distillation(keras.distillation.LogitsDistillation(loss=loss)), "prune")


@pytest.mark.parametrize("named", [False, True])
def test_several_outputs_each_in_its_own_way(named):
    """A softmax and a number: the one by the divergence of shares, the other by nothing, or by its own."""

    def network(width):
        inputs = keras.Input((4,))
        hidden = keras.layers.Dense(width, "tanh")(inputs)
        shares = keras.layers.Dense(3, "softmax", name="kind")(hidden)
        number = keras.layers.Dense(1, name="size")(hidden)
        model = keras.Model(inputs, {"kind": shares, "size": number} if named else [shares, number])
        losses = ["sparse_categorical_crossentropy", "mse"]
        model.compile("sgd", dict(zip(("kind", "size"), losses, strict=True)) if named else losses, run_eagerly=True)
        return model

    wanted = [keras.losses.KLDivergence(), keras.losses.MeanSquaredError()]
    wanted = dict(zip(("kind", "size"), wanted, strict=True)) if named else wanted
    teacher, student = network(7), network(5)
    teaching = Teaching(student, teacher, Distillation(keras.distillation.LogitsDistillation(TEMPERATURE, wanted)))
    targets = [LABELS, X[:, :1]]
    targets = dict(zip(("kind", "size"), targets, strict=True)) if named else targets
    own = student.compute_loss(X, targets, student(X), training=False)
    said, answered = ([each.numpy() for each in keras.tree.flatten(model(X))] for model in (teacher, student))
    softened = [shares[0] ** (1 / TEMPERATURE) for shares in (said, answered)]
    p, q = (each / each.sum(axis=-1, keepdims=True) for each in softened)
    expected = TEMPERATURE**2 * (p * np.log(p / q)).sum(axis=-1).mean()
    expected += np.square((said[1] - answered[1]) / TEMPERATURE).mean()
    teaching.begin()
    loss = student.compute_loss(X, targets, student(X), training=True)
    assert float(loss) == pytest.approx(0.5 * float(own) + 0.5 * expected, rel=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        teacher, student = build(7, softmax=True), build(5, softmax=True, run_eagerly=False)
    finally:
        keras.config.set_dtype_policy("float32")
    loss, _ = step_by_hand(student, teacher)
    history = fit(student, callbacks=[Taught(Teaching(student, teacher, HINTON))])
    assert history["loss"] == pytest.approx([loss], rel=2e-2)


def softmax_layer(axis):
    return lambda: keras.Sequential([keras.Input((3, 2)), keras.layers.Softmax(axis=axis)])


def operation():
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.ops.softmax(inputs))


def nested():
    inputs = keras.Input((4,))
    head = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), keras.layers.Activation("softmax")])
    return keras.Model(inputs, [keras.layers.Dense(2)(inputs), head(inputs)])


def sequence(*layers, shape=(3, 2)):
    return lambda: keras.Sequential([keras.Input(shape), *layers])


def every_step(layer):
    return keras.layers.TimeDistributed(layer)


def softmax_model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "softmax")])


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (sequence(every_step(keras.layers.Dense(4, "softmax"))), [True]),
        (sequence(every_step(keras.layers.Dense(4))), [False]),
        (sequence(every_step(softmax_model())), [True]),
        (sequence(every_step(keras.layers.Softmax(axis=1)), shape=(3, 4, 2)), [False]),
        (sequence(every_step(keras.layers.Softmax(axis=2)), shape=(3, 4, 2)), [True]),
        (sequence(every_step(every_step(keras.layers.Softmax(axis=1))), shape=(3, 4, 2)), [True]),
        (sequence(keras.layers.Softmax(), keras.layers.Activation("linear", dtype="float32")), [True]),
        (sequence(keras.layers.Softmax(), every_step(keras.layers.Activation(None))), [True]),
        (sequence(softmax_model(), keras.layers.Identity(), keras.layers.Activation("linear"), shape=(2,)), [True]),
        (sequence(keras.layers.Softmax(), keras.layers.Activation("relu")), [False]),
        (sequence(keras.layers.Dense(4), keras.layers.Activation("linear")), [False]),
        (sequence(keras.layers.Activation("linear")), [False]),
        (build, [False]),
        (lambda: build(softmax=True), [True]),
        (softmax_layer(-1), [True]),
        (softmax_layer(2), [True]),
        (softmax_layer(1), [False]),
        (operation, [True]),
        (nested, [False, True]),
    ],
)
def test_it_is_seen_which_outputs_are_shares(network, expected):
    assert end_in_softmax(network()) == expected
