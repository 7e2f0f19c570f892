"""Data in every form that `fit` takes, and what is said about data that does not fit."""

from collections import OrderedDict

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_slim.graph import analyse
from keras_slim.scoring import check_data, criteria
from keras_slim.scoring.data import as_batches, flat_inputs

EXPECTED_SHAPE = r"\(None, 4\)"


class Batches(keras.utils.PyDataset):
    """Arrays in batches of three."""

    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return -(-len(self.arrays[0]) // 3)

    def __getitem__(self, index):
        return tuple(array[3 * index : 3 * index + 3] for array in self.arrays)


def generator(*arrays):
    while True:
        batches = Batches(*arrays)
        yield from (batches[index] for index in range(len(batches)))


def endless(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(3).repeat()


FORMS = {
    "tensors": lambda x, y: (tf.constant(x), tf.constant(y)),
    "float64": lambda x, y: (x.astype(float), y.astype(float)),
    "no weights": lambda x, y: (x, y, None),
    "dataset": lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)).batch(3),
    "PyDataset": Batches,
    "list of batches": lambda x, y: iter([(x[:7], y[:7]), (x[7:], y[7:])]),
}


@pytest.mark.parametrize("criterion", ["taylor", "mean_activation"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_scores_of_the_arrays(score, perceptron, samples, form, criterion):
    steps = 2 if form == "list of batches" else None
    scores = score(perceptron, criterion, FORMS[form](*samples), steps=steps)
    np.testing.assert_allclose(scores, score(perceptron, criterion, samples), rtol=1e-5)


@pytest.mark.parametrize("make", [generator, endless])
def test_endless_data_is_read_for_as_many_steps_as_asked(score, perceptron, samples, make):
    x, y = samples
    expected = score(perceptron, "taylor", (x[:6], y[:6]))
    np.testing.assert_allclose(score(perceptron, "taylor", make(x, y), steps=2), expected, rtol=1e-5)


@pytest.mark.parametrize("make", [Batches, lambda *arrays: tf.data.Dataset.from_tensor_slices(arrays).batch(3)])
def test_steps_shorten_a_pass_and_never_stretch_it(score, perceptron, samples, make):
    x, y = samples
    short = score(perceptron, "taylor", make(x, y), steps=2)
    np.testing.assert_allclose(short, score(perceptron, "taylor", (x[:6], y[:6])), rtol=1e-5)
    long = score(perceptron, "taylor", make(x, y), steps=99)
    np.testing.assert_allclose(long, score(perceptron, "taylor", samples), rtol=1e-5)


def test_a_generator_goes_on_where_the_last_pass_stopped(score, perceptron, samples):
    x, y = samples
    source = generator(x, y)
    first, second = (score(perceptron, "taylor", source, steps=1) for _ in range(2))
    np.testing.assert_allclose(first, score(perceptron, "taylor", (x[:3], y[:3])), rtol=1e-5)
    np.testing.assert_allclose(second, score(perceptron, "taylor", (x[3:6], y[3:6])), rtol=1e-5)


def test_inputs_alone_are_enough_for_a_criterion_without_targets(score, perceptron, samples):
    x, y = samples
    expected = score(perceptron, "mean_activation", (x, y))
    for data in (x, (x,), Batches(x), tf.data.Dataset.from_tensor_slices(x).batch(5)):
        np.testing.assert_allclose(score(perceptron, "mean_activation", data), expected, rtol=1e-5)


def two_inputs(structure):
    """A model whose inputs, in order, are `wide` and `narrow`."""
    wide, narrow = keras.Input((4,), name="wide"), keras.Input((2,), name="narrow")
    x = keras.layers.Dense(8, "relu", bias_initializer="ones")(keras.layers.Concatenate()([wide, narrow]))
    inputs = {"wide": wide, "narrow": narrow} if structure is dict else [wide, narrow]
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("structure", [dict, list])
@pytest.mark.parametrize("criterion", ["taylor", "mean_activation"])
def test_inputs_by_name_and_by_position_give_the_same_scores(score, samples, structure, criterion):
    wide, y = samples
    narrow = np.random.default_rng(2).normal(size=(10, 2)).astype("float32")
    model = two_inputs(structure)
    named = {"narrow": narrow, "wide": wide}
    expected = score(model, criterion, (named if structure is dict else [wide, narrow], y))
    for data in ((named, y), tf.data.Dataset.from_tensor_slices((named, y)).batch(4)):
        np.testing.assert_allclose(score(model, criterion, data), expected, rtol=1e-5)
    kernel = model.layers[-2].kernel.numpy()
    hidden = np.maximum(np.concatenate([wide, narrow], axis=1) @ kernel + 1, 0)
    np.testing.assert_allclose(score(model, "mean_activation", (named, y)), hidden.mean(axis=0), rtol=1e-5)


def test_an_axis_of_one_may_be_left_out_as_in_fit(score):
    """Keras trains on pictures of shape (8, 8) where the model says (8, 8, 1)."""
    model = keras.Sequential(
        [keras.Input((3, 3, 1)), keras.layers.Conv2D(4, 2), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    x, y = np.random.default_rng(0).normal(size=(6, 3, 3)).astype("float32"), np.ones((6, 1))
    model.fit(x, y, verbose=0)
    expected = score(model, "taylor", (x[..., None], y))
    np.testing.assert_allclose(score(model, "taylor", (x, y)), expected, rtol=1e-5)


def test_missing_data_is_asked_for(score, perceptron):
    with pytest.raises(
        ValueError, match=r"`data` of `plan_pruning`\. Expected inputs and targets, `data=\(x, y\)`.*None"
    ):
        score(perceptron, "taylor", None, owner="plan_pruning")
    with pytest.raises(ValueError, match=r"Expected inputs, `data=x`, for this criterion\. Received: data=None"):
        score(perceptron, "apoz", None)


def test_a_generator_needs_steps(score, perceptron, samples):
    with pytest.raises(ValueError, match=r"`steps`.*number of batches to draw from a generator.*None.*may be endless"):
        score(perceptron, "taylor", generator(*samples))


def test_an_endless_dataset_needs_steps(score, perceptron, samples):
    with pytest.raises(ValueError, match=r"`steps`.*number of batches.*None.*endless"):
        score(perceptron, "taylor", endless(*samples))


def test_a_pydataset_of_unknown_length_needs_steps(score, perceptron, samples):
    class Endless(keras.utils.PyDataset):
        def __getitem__(self, index):
            return samples

    with pytest.raises(ValueError, match=r"`steps`.*number of batches.*None.*endless"):
        score(perceptron, "taylor", Endless())
    expected = score(perceptron, "taylor", samples)
    np.testing.assert_allclose(score(perceptron, "taylor", Endless(), steps=2), expected, rtol=1e-5)


@pytest.mark.parametrize("steps", [0, -1])
@pytest.mark.parametrize("form", [lambda *arrays: arrays, generator])
def test_steps_must_be_positive(score, perceptron, samples, form, steps):
    with pytest.raises(ValueError, match=rf"`steps`.*integer of at least 1.*steps={steps}"):
        score(perceptron, "taylor", form(*samples), steps=steps)


def test_steps_must_be_a_whole_number(score, perceptron, samples):
    with pytest.raises(TypeError, match=r"`steps`.*integer of at least 1.*steps=1\.5"):
        score(perceptron, "taylor", samples, steps=1.5)


def test_a_generator_that_is_used_up_is_named_as_such(score, perceptron):
    with pytest.raises(ValueError, match="holds no batch.*at least one sample.*used up"):
        score(perceptron, "taylor", iter([]), steps=3)


@pytest.mark.parametrize("x", [np.zeros((0, 4), "float32"), []])
def test_empty_arrays_are_refused(score, perceptron, x):
    with pytest.raises(ValueError, match="`data`"):
        score(perceptron, "mean_activation", x)


@pytest.mark.parametrize(
    "shape", [(10, 5), (10, 4, 4), (10,), (4,)], ids=["too wide", "too deep", "no axis", "one sample"]
)
def test_samples_of_the_wrong_shape_are_refused(score, perceptron, shape):
    received = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=rf"`data`.*batches of shape \[{EXPECTED_SHAPE}\].*data=\[{received}\]"):
        score(perceptron, "mean_activation", np.zeros(shape, "float32"))


def test_a_dataset_that_is_not_batched_is_refused(score, perceptron, samples):
    with pytest.raises(
        ValueError, match=rf"batches of shape \[{EXPECTED_SHAPE}\].*data=\[\(4,\)\]\. .*single samples.*batch"
    ):
        score(perceptron, "taylor", tf.data.Dataset.from_tensor_slices(samples))


def test_too_many_inputs_are_refused(score, perceptron, samples):
    with pytest.raises(ValueError, match=rf"batches of shape \[{EXPECTED_SHAPE}\].*\(10, 4\), \(10, 3\)"):
        score(perceptron, "mean_activation", list(samples))


def test_inputs_under_unknown_names_are_refused(score, samples):
    with pytest.raises(ValueError, match=r"`data`.*(wide|narrow)"):
        score(two_inputs(dict), "mean_activation", {"wide": samples[0], "tall": samples[0][:, :2]})


def test_arrays_of_different_lengths_are_refused(score, perceptron, samples):
    with pytest.raises(ValueError, match=r"equal numbers of samples.*\[9, 10\]"):
        score(perceptron, "taylor", (samples[0], samples[1][:9]))


def test_checking_says_what_scoring_would_say_and_draws_nothing_from_a_generator(perceptron, samples):
    graph, taylor = analyse(perceptron), criteria.get("taylor", "criterion", "test")
    for data, steps in ((None, None), (samples[0], None), (samples[::-1], None), (generator(*samples), None)):
        with pytest.raises(ValueError, match="for|expected|Expected"):
            check_data(graph, taylor, data, steps=steps, owner="test")
    check_data(graph, taylor, samples, owner="test")
    check_data(graph, criteria.get("l2", "criterion", "test"), None, owner="test")
    source = iter([samples])
    check_data(graph, taylor, source, steps=1, owner="test")
    assert next(source) is samples


def two_outputs(structure):
    """A model whose second output has no loss."""
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, "relu", bias_initializer="ones")(inputs)
    outputs = {"y": keras.layers.Dense(3, name="y")(x), "code": keras.layers.Dense(2, trainable=False, name="code")(x)}
    model = keras.Model(inputs, outputs if structure is dict else list(outputs.values()))
    model.compile("sgd", {"y": "mse"} if structure is dict else ["mse", None])
    return model


@pytest.mark.parametrize("structure", [dict, list])
@pytest.mark.parametrize("criterion", ["taylor", "oracle", "mean_activation"])
def test_an_output_may_have_no_targets_as_in_fit(score, samples, structure, criterion):
    x, y = samples
    model = two_outputs(structure)
    y = {"y": y, "code": None} if structure is dict else [y, None]
    model.fit(x, y, verbose=0)
    expected = score(model, criterion, iter([(x, y)]), steps=1)
    check_data(analyse(model), criteria.get(criterion, "criterion", "test"), (x, y), owner="test")
    np.testing.assert_allclose(score(model, criterion, (x, y)), expected, rtol=1e-5)
    assert np.ptp(expected) > 0


@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict:UserWarning")
@pytest.mark.parametrize("made", [dict, OrderedDict])
def test_a_dictionary_is_read_by_its_own_keys_and_may_hold_more(made):
    # the inputs are named the other way round; a column that is no input stands between them
    inputs = made(right=keras.Input((3,), name="left"), left=keras.Input((2,), name="right"))
    model = keras.Model(inputs, keras.layers.Concatenate()([inputs["left"], inputs["right"]]))
    x = {"left": np.ones((4, 2)), "number": np.arange(4), "right": np.zeros((4, 3))}
    ((batch, _, _),) = as_batches(x, model, owner="test", targets=False)()
    shapes = [tuple(array.shape[1:]) for array in flat_inputs(model, batch)]
    assert shapes == [tensor.shape[1:] for tensor in model.inputs]
