"""The teacher an adder network gets, and which of its layers teaches which."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.distillation.pairing import convolutional_twin, pair_layers
from keras_slim.errors import UnsupportedLayerError
from keras_slim.layers import AdderConv1D, AdderConv2D, AdderDense, AdderDepthwiseConv2D


def names(pairs):
    return [(pair.student.name, pair.teacher.name) for pair in pairs]


def student(*, kind=AdderDense, width=3, **options):
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="stem"), kind(width, name="a", **options), layers.BatchNormalization(),
         kind(3, name="b", **options), layers.Dense(2, name="head")],
        name="student",
    )  # fmt: skip


def test_the_twin_has_convolutions_of_the_same_config_and_weights_of_its_own():
    inputs = keras.Input((6, 6, 2), name="x")
    x = AdderConv2D(3, 2, strides=2, padding="same", name="two")(inputs)
    x = AdderDepthwiseConv2D(2, depth_multiplier=2, name="depthwise")(layers.BatchNormalization(name="norm")(x))
    x = AdderConv1D(4, 2, padding="causal", use_bias=False, name="one")(layers.Reshape((4, 6))(x))
    inner_input = keras.Input((4, 4))
    inner = keras.Model(inner_input, AdderDense(3, local_learning_rate=None, name="dense")(inner_input), name="inner")
    model = keras.Model({"x": inputs}, {"y": inner(x)})
    model.compile("sgd", "mse")
    twin = convolutional_twin(model)
    assert not twin.compiled
    kinds = {layer.name: type(layer) for layer in [*twin.layers, *twin.get_layer("inner").layers]}
    assert [kinds[name] for name in ("two", "depthwise", "one", "dense", "norm")] == [
        layers.Conv2D, layers.DepthwiseConv2D, layers.Conv1D, layers.Dense, layers.BatchNormalization
    ]  # fmt: skip
    two = twin.get_layer("two").get_config()
    assert (two["filters"], two["strides"], two["padding"]) == (3, (2, 2), "same")
    assert two["kernel_initializer"]["class_name"] == "GlorotUniform"
    assert twin.get_layer("one").use_bias is False
    assert not {id(weight) for weight in twin.weights} & {id(weight) for weight in model.weights}
    assert [tuple(weight.shape) for weight in twin.weights] == [tuple(weight.shape) for weight in model.weights]
    assert names(pair_layers(model, twin)) == [(name, name) for name in ("two", "depthwise", "one", "dense")]


def test_functions_without_a_name_are_copied_too():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Lambda(lambda x: 2 * x), AdderDense(3, name="a"), AdderDense(2, lambda x: -x)]
    )
    twin = convolutional_twin(model)
    twin.set_weights([np.ones(weight.shape) for weight in twin.weights])
    np.testing.assert_array_equal(twin(np.ones((1, 4))), [[-28, -28]])  # 3 units of 2 * 4 + 1, and 1


def test_layers_are_paired_in_order_whatever_they_are_called():
    teacher = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4), layers.Dense(3, name="p"), layers.Dense(3, name="q"), layers.Dense(2)]
    )
    assert names(pair_layers(student(), teacher)) == [("a", "p"), ("b", "q")]


@pytest.mark.parametrize(
    ("layer_names", "expected"),
    [(["b"], [("b", "b")]), ({"a": "b"}, [("a", "b")]), (("b", "a"), [("b", "b"), ("a", "a")])],
)
def test_layers_are_paired_by_name(layer_names, expected):
    teacher = student(kind=layers.Dense, width=7)  # as many channels as it likes
    assert names(pair_layers(student(), teacher, layer_names)) == expected


def test_layers_with_an_activation_inside_are_left_out():
    model = keras.Sequential([keras.Input((4,)), AdderDense(3, name="a"), AdderDense(2, "softmax", name="b")])
    assert names(pair_layers(model, convolutional_twin(model))) == [("a", "a")]


def test_every_call_of_a_shared_layer_counts():
    shared = AdderDense(4, name="shared")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, shared(layers.BatchNormalization()(shared(inputs))))
    (pair,) = pair_layers(model, convolutional_twin(model))
    assert len(pair.student_outputs) == len(pair.teacher_outputs) == 2


class OwnAdder(AdderDense):
    """Derives from an adder layer."""


def convolutions(stride=1, kind=AdderConv2D):
    return keras.Sequential([keras.Input((4, 4, 1)), kind(2, 2, strides=stride, name="c")])


@pytest.mark.parametrize(
    ("student", "teacher", "layer_names", "error", "message"),
    [
        (
            partial(student, kind=layers.Dense),
            None,
            None,
            UnsupportedLayerError,
            r"no adder layers.*keras_slim.adderize",
        ),
        (partial(student, activation="relu"), None, None, UnsupportedLayerError, r"\('a', 'a'\).*activation inside"),
        (student, convolutions, None, ValueError, r"stem \(Dense\).*c \(Conv2D\).*layer_names="),
        (student, None, ["aa"], ValueError, r"`layer_names`.*of the student.*Did you mean 'a'"),
        (student, None, {"a": "hed"}, ValueError, r"`layer_names`.*of the teacher.*Did you mean 'head'"),
        (student, None, ["stem"], ValueError, r"\('stem', 'stem'\) is no such pair"),
        (student, None, "a", TypeError, r"`layer_names`.*names of layers"),
        (student, None, {"a": ["a"]}, TypeError, r"`layer_names`.*names of layers"),
        (student, None, [["a"]], TypeError, r"`layer_names`.*names of layers"),
        (student, student, None, UnsupportedLayerError, r"\['a', 'b'\] are adder layers in the teacher too"),
        (
            partial(student, kind=OwnAdder),
            None,
            None,
            UnsupportedLayerError,
            r"no adder layers.*'a' \(`OwnAdder` derives from one and may compute something else\)",
        ),
        (student, None, (), TypeError, r"`layer_names`.*names of layers"),
        (
            convolutions,
            partial(convolutions, 2, layers.Conv2D),
            None,
            ValueError,
            r"'c' of the student.*3, 3, 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(student, teacher, layer_names, error, message):
    student = student()
    teacher = convolutional_twin(student) if teacher is None else teacher()
    with pytest.raises(error, match=message):
        pair_layers(student, teacher, layer_names)


def test_the_convolutional_original_is_no_teacher_for_its_activations_are_inside():
    conv, dense = layers.Conv2D, layers.Dense
    original = keras.Sequential([keras.Input((6, 6, 1)), conv(2, 3), conv(2, 3, activation="relu"), dense(2)])
    with pytest.raises(UnsupportedLayerError, match="leave the teacher to be made"):
        pair_layers(slim.adderize(original), original)
