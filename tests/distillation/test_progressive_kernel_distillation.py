"""What a step with a teacher beside the student does, against the same computed by hand and the parts alone."""

import json
from functools import partial

import keras
import numpy as np
import pytest
from batching import batches
from keras import layers, ops

import keras_slim as slim
from keras_slim.distillation import Distillation, ProgressiveKernelDistillation
from keras_slim.distillation.progressive_kernel_distillation import kernel
from keras_slim.errors import UnsupportedLayerError
from keras_slim.layers import AdderDense

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(12, 4)).astype("float32"), RNG.integers(0, 3, 12)
LOSS = "sparse_categorical_crossentropy"


def build(name="student", **options):
    """An adder network of two adder layers, all of whose shapes are the same, so that little has to be compiled."""
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="stem")(inputs)
    for at in ("a", "b"):
        x = AdderDense(4, name=at, **options)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.5)(x))
    return keras.Model(inputs, layers.Dense(3, "softmax", name="head")(x), name=name)


def compiled(model, optimizer=None, **options):
    optimizer = optimizer or keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, **{"loss": LOSS, "run_eagerly": True, **options})
    return model


def fit(model, x=X, y=LABELS, **options):
    return model.fit(batches(x, y, 6), **{"verbose": 0, **options}).history


def clone(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def assert_same_weights(one, other):
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


class Nothing(keras.distillation.DistillationLoss):
    """A teacher that says nothing."""

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        return ops.zeros(())


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD, keras.optimizers.Adam])
def test_the_teacher_learns_as_it_does_alone(optimizer):
    distiller = ProgressiveKernelDistillation(build(kernel_regularizer="l2"))
    alone = compiled(clone(distiller.teacher), optimizer(0.05))
    fit(compiled(distiller, optimizer(0.05)), epochs=2)
    fit(alone, epochs=2)
    assert_same_weights(distiller.teacher, alone)


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD, keras.optimizers.Adam])
def test_without_a_word_from_the_teacher_the_student_learns_as_it_does_alone(optimizer):
    student = build()
    alone = compiled(clone(student), optimizer(0.05), loss_weights=[0.5])
    silent = Distillation(Nothing(), student_loss_weight=0.5)
    distiller = ProgressiveKernelDistillation(student, distillation=silent, feature_loss_weight=0)
    fit(compiled(distiller, optimizer(0.05)), epochs=2)
    fit(alone, epochs=2)
    assert_same_weights(student, alone)


def by_hand(sums, head, sigma):
    """What a head answers: a kernel, a convolution of size 1, and batch normalization without scale and offset."""
    sums = np.asarray(sums, "float64")
    exponents = sums / (sums.std() if sigma is None else 2 * sigma**2)
    mapped = np.exp(exponents - exponents.mean()) @ head.get_weights()[0]
    return (mapped - mapped.mean(axis=0)) / np.sqrt(mapped.var(axis=0) + 1e-3)


@pytest.mark.parametrize("sigma", [None, (2.0, 1.5)])
def test_the_loss_is_that_of_the_formula(sigma):
    student = build()
    distillation = Distillation(keras.distillation.LogitsDistillation(2.0), student_loss_weight=0.3)
    distiller = ProgressiveKernelDistillation(student, distillation=distillation, feature_loss_weight=0.7, sigma=sigma)
    compiled(distiller)
    of_student, of_teacher = sigma or (None, None)
    answers = distiller(X, training=True)
    features, heads = 0, (distiller.student_heads, distiller.teacher_heads)
    for ours, theirs, (distances,), (products,) in zip(*heads, answers.student_sums, answers.teacher_sums, strict=True):
        features += np.mean((by_hand(distances, ours, of_student) - by_hand(products, theirs, of_teacher)) ** 2)
    answered, said = np.asarray(answers.student, "float64"), np.asarray(answers.teacher, "float64")
    own, lesson = (-np.log(shares[range(12), LABELS]).mean() for shares in (answered, said))
    answered, said = (shares**0.5 / (shares**0.5).sum(axis=1, keepdims=True) for shares in (answered, said))
    distilled = 4 * (said * np.log(said / answered)).sum(axis=1).mean()
    loss = distiller.compute_loss(x=X, y=LABELS, y_pred=answers)
    assert float(loss) == pytest.approx(0.3 * own + 0.7 * distilled + 0.7 * features / len(heads[0]) + lesson, rel=1e-4)
    assert float(distiller.teacher_loss_tracker.result()) == pytest.approx(lesson, rel=1e-5)


def test_what_is_observed_is_what_the_layers_answer():
    distiller = ProgressiveKernelDistillation(build())
    answers = distiller(X, training=True)
    first = distiller.student.get_layer("a")(distiller.student.get_layer("stem")(X))
    np.testing.assert_allclose(answers.student_sums[0][0], first, rtol=1e-6)
    first = distiller.teacher.get_layer("a")(distiller.teacher.get_layer("stem")(X))
    np.testing.assert_allclose(answers.teacher_sums[0][0], first, rtol=1e-6)


def test_the_kernels_are_finite_for_sums_of_any_size():
    sums = np.zeros((1000, 1), "float32")
    for value in (0.0, 1e30, -1e4, 1e4):
        sums[0] = value
        assert np.isfinite(kernel(ops.convert_to_tensor(sums))).all()
        assert np.isfinite(kernel(ops.convert_to_tensor(sums), 0.1)).all()


@pytest.mark.slow
def test_training_lowers_the_loss_and_the_student_stands_alone(tmp_path):
    student = build()
    number, before = len(student.weights), len(student.layers)
    distiller = compiled(ProgressiveKernelDistillation(student), metrics=["accuracy"])
    history = fit(distiller, epochs=15, validation_data=(X, LABELS))
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert history["feature_loss"][-1] < history["feature_loss"][0]
    assert {name for name in history if name.startswith("val")} == {"val_loss", "val_accuracy"}
    assert distiller.student is student
    assert (len(student.weights), len(student.layers)) == (number, before)
    np.testing.assert_array_equal(distiller.predict(X, verbose=0), student.predict(X, verbose=0))
    student.save(tmp_path / "student.keras")
    again = keras.saving.load_model(tmp_path / "student.keras")
    np.testing.assert_array_equal(again.predict(X, verbose=0), student.predict(X, verbose=0))


def test_evaluation_is_that_of_the_student():
    student = build(kernel_regularizer="l2", activity_regularizer="l2")
    distiller = compiled(ProgressiveKernelDistillation(student), metrics=["accuracy"])
    found = distiller.evaluate(X, LABELS, verbose=0, return_dict=True)
    alone = compiled(student, metrics=["accuracy"]).evaluate(X, LABELS, verbose=0, return_dict=True)
    assert found == pytest.approx(alone)


def test_the_whole_survives_a_file_and_trains_on_as_it_would_have(tmp_path):
    options = {"feature_loss_weight": 0.5, "layer_names": ["b"], "sigma": (2.0, 1.0)}
    distiller = compiled(ProgressiveKernelDistillation(build(), **options))
    fit(distiller)
    distiller.save(tmp_path / "both.keras")
    again = keras.saving.load_model(tmp_path / "both.keras")
    assert json.dumps(again.get_config()) == json.dumps(distiller.get_config())
    assert again.get_config()["layer_names"] == {"b": "b"}
    again.run_eagerly = True
    assert fit(again)["loss"] == pytest.approx(fit(distiller)["loss"], rel=1e-5)
    assert_same_weights(again, distiller)


def test_half_precision_trains():
    with_policy = {"dtype": "mixed_bfloat16"}
    inputs = keras.Input((4,))
    x = layers.BatchNormalization(**with_policy)(AdderDense(4, **with_policy)(inputs))
    student = keras.Model(inputs, layers.Dense(3, "softmax", **with_policy)(x))
    distiller = compiled(ProgressiveKernelDistillation(student))
    assert distiller.teacher.layers[1].compute_dtype == "bfloat16"
    assert distiller.student_heads[0].layers[0].compute_dtype == "float32"
    assert np.isfinite(fit(distiller)["loss"]).all()


def test_several_inputs_and_outputs_of_any_kind_and_models_inside():
    image, flag = keras.Input((2, 2, 1), name="image"), keras.Input((2,), name="flag")
    inner_input = keras.Input((4,))
    inner = keras.Model(inner_input, layers.BatchNormalization()(AdderDense(4, name="a")(inner_input)), name="inner")
    x = inner(layers.Concatenate()([layers.Flatten()(image), flag])[:, 1:5])
    outputs = {"p": layers.Dense(3, name="p")(x), "q": layers.Dense(2, name="q")(inner(x))}
    student = keras.Model({"image": image, "flag": flag}, outputs)
    divergence = keras.losses.KLDivergence()
    distillation = Distillation(keras.distillation.LogitsDistillation(loss={"p": divergence, "q": None}))
    losses = {"p": "mse", "q": "mae"}
    distiller = compiled(ProgressiveKernelDistillation(student, distillation=distillation), loss=losses)
    x = {"image": RNG.integers(0, 9, (12, 2, 2)).astype("uint8"), "flag": RNG.normal(size=(12, 2))}
    y = {"p": np.zeros((12, 3)), "q": np.zeros((12, 2))}
    history = distiller.fit(x, y, batch_size=6, validation_split=0.5, verbose=0).history
    assert np.isfinite([value for values in history.values() for value in values]).all()
    assert len(distiller(x, training=True).student_sums[0]) == 2


def two_outputs():
    inputs = keras.Input((4,))
    x = layers.BatchNormalization()(AdderDense(4, name="a")(inputs))
    return keras.Model(inputs, [layers.Dense(3, name="p")(x), layers.Dense(2, name="q")(x)])


def test_losses_and_metrics_go_by_the_names_of_the_students_outputs_whatever_the_teachers_are_called():
    inputs = keras.Input((4,))
    x = layers.Dense(4)(inputs)
    teacher = keras.Model(inputs, [layers.Dense(3, name="first")(x), layers.Dense(2, name="second")(x)])
    distiller = ProgressiveKernelDistillation(
        two_outputs(), teacher, Distillation(keras.distillation.LogitsDistillation(loss=["mse", None]))
    )
    compiled(distiller, loss={"q": "mae", "p": "mse"}, metrics={"p": ["mae"]}, loss_weights={"p": 2.0, "q": 0.5})
    fit(distiller, y={"p": np.zeros((12, 3)), "q": np.zeros((12, 2))})
    alone = compiled(clone(distiller.student), loss=["mse", "mae"], metrics=[["mae"], []], loss_weights=[2.0, 0.5])
    y = [np.zeros((12, 3)), np.zeros((12, 2))]
    found, expected = (each.evaluate(X, y, verbose=0, return_dict=True) for each in (distiller, alone))
    assert {"p_loss", "q_loss", "p_mae"} < {*found}
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_a_single_output_may_have_its_name():
    one, other = ProgressiveKernelDistillation(build()), ProgressiveKernelDistillation(build())
    other.set_weights(one.get_weights())
    histories = fit(compiled(one)), fit(compiled(other, loss={"head": LOSS}))
    assert histories[0]["loss"] == pytest.approx(histories[1]["loss"], rel=1e-6)


def test_channels_first_and_last_are_compared_along_channels():
    student = keras.Sequential(
        [keras.Input((2, 3, 3)), slim.layers.AdderConv2D(5, 2, data_format="channels_first"), layers.Flatten(),
         layers.Dense(3, "softmax")]
    )  # fmt: skip
    distiller = ProgressiveKernelDistillation(student)
    assert distiller.student_heads[0].output_shape == (None, None, None, 5)
    assert distiller.teacher_heads[0].input_shape == (None, None, None, 5)


def test_sample_weights_reach_both_networks():
    distiller = compiled(ProgressiveKernelDistillation(build()))
    answers = distiller(X, training=True)
    plain = float(distiller.compute_loss(x=X, y=LABELS, y_pred=answers))
    own = float(distiller.teacher_loss_tracker.result())
    distiller.reset_metrics()
    half = float(distiller.compute_loss(x=X, y=LABELS, y_pred=answers, sample_weight=np.full(12, 0.5, "float32")))
    assert float(distiller.teacher_loss_tracker.result()) == pytest.approx(own / 2, rel=1e-5)
    assert half < plain - own / 2


def test_samples_without_weight_teach_nothing_to_either_network_by_their_labels():
    distiller = compiled(ProgressiveKernelDistillation(build()), keras.optimizers.SGD(0.05))
    ours, theirs = (
        [np.array(each) for each in net.trainable_variables] for net in (distiller.student, distiller.teacher)
    )
    history = distiller.fit(X, LABELS, batch_size=6, sample_weight=np.zeros(12), verbose=0).history
    assert history["teacher_loss"] == [0]
    for old, new in zip(theirs, distiller.teacher.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new)
    assert any(
        np.abs(old - new).max() > 0 for old, new in zip(ours, distiller.student.trainable_variables, strict=True)
    )


def test_several_steps_in_one_call_are_as_many_steps():
    one, other = ProgressiveKernelDistillation(build()), ProgressiveKernelDistillation(build())
    other.set_weights(one.get_weights())
    histories = fit(compiled(one)), fit(compiled(other, steps_per_execution=2))
    assert histories[0]["loss"] == pytest.approx(histories[1]["loss"], rel=1e-5)
    assert_same_weights(one, other)


@pytest.mark.slow
def test_compiled_steps_compute_the_same_as_eager_ones():
    eager = ProgressiveKernelDistillation(build())
    graph = ProgressiveKernelDistillation(clone(eager.student), clone(eager.teacher))
    graph.set_weights(eager.get_weights())
    histories = fit(compiled(eager)), fit(compiled(graph, run_eagerly=False))
    for name, values in histories[0].items():
        assert histories[1][name] == pytest.approx(values, rel=1e-4)
    assert_same_weights(eager, graph)


def test_keras_distills_into_an_adder_network_too():
    teacher, student = slim.distillation.pairing.convolutional_twin(build("plain")), build()
    before = student.get_layer("a").get_weights()[0]
    logits = Distillation().loss  # of which the divergence is that of softened shares
    distiller = compiled(keras.distillation.Distiller(teacher, student, logits))
    assert np.isfinite(fit(distiller)["loss"]).all()
    assert not np.array_equal(student.get_layer("a").get_weights()[0], before)


def made(value):
    """Makes the models of a test in the test."""
    return value() if callable(value) else value


def perceptron(units):
    return keras.Sequential([keras.Input((4,)), layers.Dense(units)])


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"student": Subclassed}, UnsupportedLayerError, r"decides in its own code.*keras.Model\(inputs, outputs\)"),
        ({"student": "student"}, TypeError, r"`student` of `ProgressiveKernelDistillation`"),
        ({"student": lambda: keras.Sequential([AdderDense(2)])}, ValueError, r"not built.*keras.Input"),
        ({"teacher": Subclassed}, UnsupportedLayerError, r"decides in its own code"),
        ({"teacher": partial(perceptron, 2)}, ValueError, r"3\).*2\).*Leave `teacher`"),
        ({"distillation": 3}, TypeError, r"`distillation`.*`keras_slim.distillation.Distillation`"),
        ({"feature_loss_weight": -1}, ValueError, r"`feature_loss_weight`"),
        ({"sigma": 1.0}, TypeError, r"`sigma`.*two numbers"),
        ({"sigma": (1.0, 0.0)}, ValueError, r"`sigma`.*> 0"),
        ({"layer_names": ["c"]}, ValueError, r"`layer_names`"),
    ],
)
def test_bad_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        ProgressiveKernelDistillation(**{key: made(value) for key, value in {"student": build, **options}.items()})


def test_there_must_be_a_loss():
    with pytest.raises(ValueError, match=r"`loss` of `ProgressiveKernelDistillation.compile`"):
        ProgressiveKernelDistillation(build()).compile("sgd")


def test_the_student_wants_compile_before_evaluate():
    distiller = compiled(ProgressiveKernelDistillation(build()), metrics=["accuracy"])
    with pytest.raises(ValueError, match=r"compile\(\)"):
        distiller.student.evaluate(X, LABELS, verbose=0)
    distiller.student.compile(loss=LOSS, metrics=["accuracy"], run_eagerly=True)
    found, expected = (each.evaluate(X, LABELS, verbose=0) for each in (distiller.student, distiller))
    assert found == pytest.approx(expected)
