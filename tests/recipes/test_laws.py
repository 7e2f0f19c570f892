"""What a recipe does is what its steps do by hand, one after the other, and nothing to what is left alone."""

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.callbacks import GradualPruning, ProgressiveGlobalPruning, QuantizationAwareTraining, WeightSharing
from keras_slim.recipes import Compress, Export, Factorize, FineTune, Prune, Quantize, Share, Sparsify, steps
from keras_slim.sparsity import kernels, magnitude_masks


def clone(model):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.compile_from_config(model.get_compile_config())
    return copy


def assert_same(model, other):
    weights, others = model.get_weights(), other.get_weights()
    assert [each.shape for each in weights] == [each.shape for each in others]
    for weight, expected in zip(weights, others, strict=True):
        np.testing.assert_array_equal(weight, expected)


def in_fit(model, data, epochs, *callbacks):
    model = clone(model)
    model.fit(*data, epochs=epochs, verbose=0, callbacks=list(callbacks))
    return model


def sparsified(model, sparsity):
    model = clone(model)
    magnitude_masks(kernels(model), sparsity).apply(model)
    return model


def shared(model, bits):
    model = clone(model)
    slim.share_weights(model, bits)
    return model


BY_HAND = {
    "factorize": (Factorize(ratio=0.3), lambda model, data: slim.factorize(model, ratio=0.3, data=data)),
    "prune": (Prune(ratio=0.5), lambda model, data: slim.prune(model, 0.5, data=data)),
    "prune by taylor": (
        Prune(ratio=0.3, criterion="taylor", compensate=False, align=2),
        lambda model, data: slim.prune(
            *(model, 0.3), data=data, criterion="taylor", calibration=False, guards=slim.pruning.Guards(align=2)
        ),
    ),
    "prune in fit": (
        Prune(ratio=0.3, epochs=2, rounds=1, learning_rate=0.01),
        lambda model, data: in_fit(
            with_learning_rate(model, 0.01), data, 2, ProgressiveGlobalPruning(0.3, rounds=1, data=data, verbose=0)
        ),
    ),
    "sparsify": (Sparsify(sparsity=0.8), lambda model, data: sparsified(model, 0.8)),
    "sparsify in fit": (
        Sparsify(sparsity=0.8, epochs=2),
        lambda model, data: in_fit(model, data, 2, GradualPruning(0.8, verbose=0)),
    ),
    "share": (Share(bits=2), lambda model, data: shared(model, 2)),
    "share in fit": (
        Share(bits=2, epochs=1),
        lambda model, data: in_fit(model, data, 1, WeightSharing(2, verbose=0)),
    ),
    "quantize": (
        Quantize(bits=4),
        lambda model, data: slim.calibrate(slim.quantize(model, slim.quantizers.Int(4), "int", skip=()), data[0]),
    ),
    "quantize in fit": (
        Quantize(bits=4, epochs=1),
        lambda model, data: in_fit(model, data, 1, QuantizationAwareTraining(4, verbose=0)),
    ),
    "fine_tune": (FineTune(epochs=2), lambda model, data: in_fit(model, data, 2)),
}


def with_learning_rate(model, learning_rate):
    model = clone(model)
    model.optimizer.learning_rate = learning_rate
    config = model.get_compile_config()
    config["optimizer"]["config"]["learning_rate"] = learning_rate
    model.compile_from_config(config)
    return model


@pytest.mark.parametrize("name", BY_HAND)
def test_a_recipe_of_one_step_is_the_verb(name, trained, samples):
    step, by_hand = BY_HAND[name]
    before = trained.get_weights()
    keras.utils.set_random_seed(7)
    result = slim.Recipe([step]).apply(trained, samples, verbose=0)
    keras.utils.set_random_seed(7)
    expected = by_hand(trained, samples)
    assert_same(result.model, expected)
    assert {each.tobytes() for each in result.model.get_weights()} != {each.tobytes() for each in before}
    for weight, old in zip(trained.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_a_recipe_of_one_file_is_the_file_of_the_verb(trained, samples, tmp_path):
    recipe = slim.Recipe([{"export": {"quantize": "int8"}}, "compress"])
    result = recipe.apply(trained, samples, folder=tmp_path / "out", verbose=0)
    slim.export_tflite(trained, tmp_path / "model.tflite", "int8", data=samples[0], verbose=0)
    slim.save_compressed(trained, tmp_path / "model.slim.h5")
    assert (tmp_path / "out" / "model.tflite").read_bytes() == (tmp_path / "model.tflite").read_bytes()
    paths = tmp_path / "out" / "model.slim.h5", tmp_path / "model.slim.h5"
    assert_same(*map(slim.load_compressed, paths))
    assert_same(result.model, trained)
    assert_same(keras.saving.load_model(result.files["model.keras"]), trained)


def test_steps_are_done_in_the_order_of_the_list(trained, samples):
    result = slim.Recipe([Sparsify(sparsity=0.6), Share(bits=2)]).apply(trained, verbose=0)
    other = slim.Recipe([Share(bits=2), Sparsify(sparsity=0.6)]).apply(trained, verbose=0)
    assert_same(result.model, shared(sparsified(trained, 0.6), 2))
    assert_same(other.model, sparsified(shared(trained, 2), 0.6))
    assert [step.name for step in other.steps] == ["share", "sparsify"]
    with pytest.raises(AssertionError):
        assert_same(result.model, other.model)


ALONE = {
    **{name: step for name, (step, _) in BY_HAND.items()},
    "prune with distillation": Prune(ratio=0.3, epochs=2, rounds=1, distill=True),
    "distill": FineTune(epochs=1, distill={"temperature": 2.0}),
    "export": Export(quantize="int8"),
    "compress": Compress(),
}


def test_there_is_an_example_of_every_step():
    assert {step.alias for step in ALONE.values()} == set(steps.names())


@pytest.mark.parametrize("name", ALONE)
def test_what_is_none_by_name_is_untouched_by_every_step(name, trained, samples, tmp_path):
    recipe = slim.Recipe([ALONE[name]], layers={"second": None, "BatchNormalization": None})
    result = recipe.apply(trained, samples, folder=tmp_path / "out", verbose=0)
    for layer in ("second", "norm"):
        for weight, old in zip(
            result.model.get_layer(layer).get_weights(), trained.get_layer(layer).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(weight, old, strict=True)
        assert result.model.get_layer(layer).trainable
    assert result.left_alone == ("norm", "second")
    if name == "export":  # in the file they compute with floats, and others with integers
        islands = str(result.steps[0].details["float_islands"])
        assert ["second" in islands, "third" in islands] == [True, False], islands


@pytest.mark.parametrize("name", ["prune", "prune in fit"])
def test_a_layer_behind_a_cut_does_not_make_up_for_it_if_it_is_left_alone(name, trained, samples):
    model = slim.Recipe([ALONE[name]], layers={"scores": None}).apply(trained, samples, verbose=0).model
    assert model.count_params() < trained.count_params()
    pairs = zip(model.get_layer("scores").get_weights(), trained.get_layer("scores").get_weights(), strict=True)
    for weight, old in pairs:
        np.testing.assert_array_equal(weight, old, strict=True)


DISTILL = {"student_loss_weight": 0.0}
COMPILED = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy"}


@pytest.mark.parametrize(
    ("steps", "compilation"),
    [
        ([Sparsify(sparsity=0.5), FineTune(epochs=1, distill=DISTILL)], None),
        ([Share(bits=2, epochs=1, distill=DISTILL)], COMPILED),  # it compiles the step anew when the epoch begins
    ],
)
def test_distillation_learns_from_the_model_before(steps, compilation, trained, samples):
    """With a weight of 0 the labels do not count: other labels lead to the very same weights."""
    recipe = slim.Recipe(steps, compile=compilation)
    x, y = samples
    found = []
    for labels in (y, 1 - y):
        keras.utils.set_random_seed(3)
        found.append(recipe.apply(trained, (x, labels), (x, y), verbose=0))
    assert_same(found[0].model, found[1].model)
    before = sparsified(trained, 0.5) if compilation is None else shared(trained, 2)
    assert np.any(found[0].model.get_layer("first").get_weights()[0] != before.get_layer("first").get_weights()[0])


def test_zeros_and_shared_values_are_held_by_training_behind_them(trained, samples):
    recipe = slim.Recipe([Sparsify(sparsity=0.7), FineTune(epochs=1)])
    model = recipe.apply(trained, samples, verbose=0).model
    for path, mask in magnitude_masks(kernels(trained), 0.7).items():
        assert np.array_equal(kernels(model)[path].numpy() != 0, mask)
    recipe = slim.Recipe([Sparsify(sparsity=0.7), Share(bits=2), FineTune(epochs=1), Quantize(epochs=1)])
    model = recipe.apply(trained, samples, verbose=0).model
    for kernel in kernels(model).values():
        values = np.unique(kernel.numpy())
        assert 0 in values
        assert len(values) <= 5
    assert not np.isin(model.get_layer("first").get_weights()[0], trained.get_weights()[0]).all()


def test_files_answer_as_the_model_that_is_left(trained, samples, tmp_path):
    recipe = slim.Recipe([Sparsify(sparsity=0.5), Quantize(), Export(quantize="int8"), Compress()])
    result = recipe.apply(trained, samples, folder=tmp_path / "out", verbose=0)
    slim.verify_tflite(result.model, result.files["model.tflite"], samples[0])
    loaded = keras.saving.load_model(result.files["model.keras"], compile=False)
    compressed = slim.load_compressed(result.files["model.slim.h5"])
    for model in (loaded, compressed):
        assert_same(model, result.model)
        assert np.array_equal(model(samples[0]), result.model(samples[0]))
    right = np.argmax(result.model(samples[0]), axis=1) == samples[1]
    assert right.mean() == pytest.approx(result.metric_after)
    assert result.steps[-1].metric_after == result.metric_after
