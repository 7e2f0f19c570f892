"""Layers whose matrix is a tensor train: answers by loops over digits, counts, and what other verbs make of them."""

import itertools
import math

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.factorization import balanced_factors, covering_factors
from keras_slim.layers import TensorTrainDense, TensorTrainEmbedding

rng = np.random.default_rng(0)
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="LiteRT files come from TensorFlow")


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def by_digits(layer):
    """The matrix of a layer, element by element."""
    cores = [array(core) for core in layer.cores]
    matrix = np.zeros((math.prod(layer.inputs), math.prod(layer.outputs)))
    for row, i in enumerate(np.ndindex(*layer.inputs)):
        for column, j in enumerate(np.ndindex(*layer.outputs)):
            product = np.eye(1)
            for core, a, b in zip(cores, i, j, strict=True):
                product = product @ core[:, a, b]
            matrix[row, column] = product.item()
    return matrix


@pytest.mark.parametrize("shape", [(12,), (5, 12), (2, 3, 12)])
@pytest.mark.parametrize("builds_matrix", [False, True])
@pytest.mark.parametrize(
    ("factors", "rank"),
    [
        (((2, 3, 2), (5, 2, 3)), 3),
        (((4, 3), (3, 10)), (2,)),
        (((2, 2, 3, 1), (1, 5, 2, 3)), (2, 3, 2)),
        (((12,), (30,)), ()),
    ],
)
def test_it_answers_as_a_dense_layer_with_that_kernel(shape, builds_matrix, factors, rank):
    inputs, outputs = factors
    layer = TensorTrainDense(30, rank, inputs, outputs, activation="tanh", bias_initializer="normal")
    x = rng.normal(size=(4, *shape)).astype("float32")
    layer.build(x.shape)
    layer.builds_matrix = lambda places: builds_matrix
    matrix = by_digits(layer)
    np.testing.assert_allclose(array(layer.matrix()), matrix, atol=1e-6)
    answers = array(layer(x))
    np.testing.assert_allclose(answers, np.tanh(x @ matrix + array(layer.bias)), atol=1e-5)
    assert answers.shape == layer.compute_output_shape(x.shape)


@pytest.mark.parametrize("name", ["dense", "table"])
def test_with_full_ranks_it_is_the_layer_it_is_made_from(name):
    if name == "dense":
        whole = keras.layers.Dense(30, activation="relu", bias_initializer="normal", dtype="float64", name="net")
        x = rng.normal(size=(5, 24))
        whole.build(x.shape)
        train = TensorTrainDense.from_dense(whole, rank=1000)
    else:
        whole = keras.layers.Embedding(23, 30, embeddings_initializer="normal", dtype="float64", name="net")
        x = np.arange(23).reshape(1, 23)
        whole.build()
        train = TensorTrainEmbedding.from_embedding(whole, rank=1000)
    np.testing.assert_allclose(array(train(x)), array(whole(x)), atol=1e-10)
    assert (train.name, train.dtype_policy.name) == ("net", "float64")


def test_a_number_of_rows_without_factors_is_counted_all_the_same():
    layer = TensorTrainEmbedding(23, 12, rank=4)
    assert math.prod(layer_inputs := covering_factors(23, 3)) >= 23
    answers = array(layer(np.arange(23)))
    assert layer.inputs == layer_inputs
    np.testing.assert_allclose(answers, by_digits(layer)[:23], atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_half_precision_rounds_vectors_and_not_the_numbers_that_pick_them(policy):
    layer = TensorTrainEmbedding(5000, 8, 4, dtype=policy)
    numbers = np.array([[257, 3001, 4999]])
    picked = layer(keras.ops.convert_to_tensor(numbers, "int32"))
    np.testing.assert_array_equal(array(layer(keras.ops.convert_to_tensor(numbers, "float32"))), array(picked))
    assert keras.backend.standardize_dtype(picked.dtype) == layer.compute_dtype
    np.testing.assert_allclose(array(picked)[0], array(layer.matrix())[numbers[0]], rtol=0.05, atol=1e-3)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("number", [1, 7, 12, 27, 64, 784, 1000])
def test_factors_are_those_of_least_sum(number, depth):
    every = itertools.combinations_with_replacement([n for n in range(1, number + 1) if number % n == 0], depth)
    assert sum(balanced_factors(number, depth)) == min(sum(each) for each in every if math.prod(each) == number)
    assert math.prod(balanced_factors(number, depth)) == number
    covering = covering_factors(number, depth)
    assert math.prod(covering) >= number
    assert max(covering) <= min(n for n in range(1, number + 1) if n**depth >= number)


@pytest.mark.parametrize(
    ("initializer", "deviation"),
    [
        ("glorot_uniform", math.sqrt(2 / (64 + 512))),
        ("he_normal", math.sqrt(2 / 64)),
        (keras.initializers.RandomNormal(stddev=0.02), 0.02),
        (keras.initializers.RandomUniform(-0.3, 0.3), 0.3 / math.sqrt(3)),
        (keras.initializers.TruncatedNormal(stddev=0.1), 0.1 * 0.8796),
    ],
)
def test_fresh_kernels_are_as_deviating_as_the_initializer_says(initializer, deviation):
    squares = []
    for seed in range(20):
        keras.utils.set_random_seed(seed)
        layer = TensorTrainDense(512, kernel_initializer=initializer)
        if isinstance(initializer, keras.initializers.Initializer):
            layer.kernel_initializer = type(initializer)(**{**initializer.get_config(), "seed": seed})
        layer.build((None, 64))
        squares.append(np.square(array(layer.matrix())).mean())
    assert math.sqrt(np.mean(squares)) == pytest.approx(deviation, rel=0.1)


def test_one_seed_gives_the_same_cores_each_different_from_the_others():
    made = []
    for _ in range(2):
        layer = TensorTrainDense(27, 3, kernel_initializer=keras.initializers.HeNormal(seed=3))
        layer.build((None, 27))
        made.append([array(core) for core in layer.cores])
    for one, other in zip(*made, strict=True):
        np.testing.assert_array_equal(one, other)
    first, middle, last = made[0]
    assert not np.allclose(first[0, :, :, :], middle[0])
    assert not np.allclose(first.ravel(), last.ravel())


@pytest.mark.parametrize(
    "layer",
    [
        TensorTrainDense(
            30, (2, 3), (2, 3, 2), activation="relu", kernel_regularizer="l2", kernel_constraint="max_norm", name="net"
        ),
        TensorTrainEmbedding(
            12, 30, 3, output_factors=(2, 3, 5), mask_zero=True, embeddings_regularizer="l1", name="net"
        ),
    ],
)
def test_it_is_saved_and_read_again(layer, tmp_path):
    inputs = keras.Input((4, 12)) if isinstance(layer, TensorTrainDense) else keras.Input((4,), dtype="int32")
    x = rng.normal(size=(3, 4, 12)) if isinstance(layer, TensorTrainDense) else rng.integers(0, 12, (3, 4))
    model = keras.Model(inputs, layer(inputs))
    assert len(model.losses) == 3, "a penalty on each core"
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(again(x)), array(model(x)))
    assert again.get_layer("net").get_config() == layer.get_config()
    assert [type(core.constraint) for core in again.get_layer("net").cores] == [
        type(core.constraint) for core in layer.cores
    ]


def test_it_learns_in_half_precision_and_hands_masks_on():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), dtype="int32")
    x = TensorTrainEmbedding(50, 24, 4, mask_zero=True, dtype="mixed_float16")(inputs)
    x = TensorTrainDense(20, 4, activation="relu", dtype="mixed_float16")(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(x)))
    assert x.dtype == "float16"
    tokens = rng.integers(1, 50, (128, 6))
    wanted = (tokens < 25).mean(axis=1, keepdims=True)
    model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=False)
    losses = [model.train_on_batch(tokens, wanted) for _ in range(30)]
    assert losses[-1] < 0.3 * losses[0]
    padded = np.concatenate([tokens[:4], np.zeros((4, 3), int)], axis=1)
    np.testing.assert_array_equal(array(model.layers[1].compute_mask(padded)), padded != 0)
    assert model.layers[2].supports_masking


@pytest.mark.parametrize(
    ("places", "rank", "builds"), [((), 8, False), ((), 1000, False), ((200,), 2, False), ((200,), 60, True)]
)
def test_the_way_with_fewer_operations_is_taken_and_counted(places, rank, builds):
    inputs = keras.Input((*places, 64))
    layer = TensorTrainDense(64, rank, name="net")
    model = keras.Model(inputs, layer(inputs))
    assert layer.builds_matrix(math.prod(places)) == builds
    ends = [1, *layer.ranks, 1]
    through = building = 0
    for k, (m, n) in enumerate(zip(layer.inputs, layer.outputs, strict=True)):  # by loops over what is multiplied
        others_in = math.prod(layer.inputs[k + 1 :])
        others_out = math.prod(layer.outputs[:k])
        through += others_out * others_in * ends[k] * m * n * ends[k + 1]
        building += 0 if k == 0 else math.prod(layer.inputs[:k]) * others_out * ends[k] * m * n * ends[k + 1]
    count = math.prod(places)
    assert slim.profile(model).macs == min(count * through, count * 64 * 64 + building)
    assert slim.profile(model).parameters == sum(math.prod(core.shape) for core in layer.cores) + 64


def test_what_a_table_computes():
    inputs = keras.Input((7,), dtype="int32")
    model = keras.Model(inputs, TensorTrainEmbedding(60, 30, (2, 3), (3, 4, 5), (5, 3, 2))(inputs))
    assert slim.profile(model).macs == 7 * (5 * 2 * 3 * 3 + 15 * 3 * 2)
    assert slim.profile(model).parameters == 3 * 5 * 2 + 2 * 4 * 3 * 3 + 3 * 5 * 2


def built(layer):
    layer.build((None, 4))
    return layer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TensorTrainDense(0), "units"),
        (lambda: TensorTrainDense(12, rank=0), "rank"),
        (lambda: TensorTrainDense(12, rank=(2, 2), input_factors=(3, 4)), "one rank fewer"),
        (lambda: TensorTrainDense(12, output_factors=(3, 5, 1)), "factors of the 12 units"),
        (lambda: TensorTrainDense(12, input_factors=(2, 2, 2)).build((None, 9)), "factors of the 9 inputs"),
        (lambda: TensorTrainDense(12).build((None, None)), "a known last dimension"),
        (lambda: TensorTrainDense(12, kernel_initializer="zeros"), "set_matrix"),
        (lambda: TensorTrainDense(12, input_factors=5), "a list of integers"),
        (lambda: TensorTrainDense.from_dense(keras.layers.Dense(3)), "a built `Dense`"),
        (lambda: TensorTrainEmbedding(30, 12, input_factors=(3, 3, 3)), "at least 30"),
        (lambda: TensorTrainEmbedding(30, 12, output_factors=(3, 3, 3)), "product is 12"),
        (lambda: TensorTrainEmbedding.from_embedding(keras.layers.Embedding(3, 3)), "a built `Embedding`"),
        (lambda: TensorTrainDense.from_dense(built(slim.layers.AdderDense(3))), "no class that derives"),
        (lambda: TensorTrainDense.from_dense(built(keras.layers.Dense(3, dtype="int8_from_float32"))), "not quantized"),
        (lambda: TensorTrainEmbedding.from_embedding(built(slim.layers.QuantEmbedding(3, 3))), "no class that derives"),
        (lambda: TensorTrainDense(12).set_matrix(np.ones((3, 12))), "Build it first"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), dtype="int32")
    x = keras.layers.Flatten()(TensorTrainEmbedding(50, 16, 4, name="table")(inputs))
    x = keras.layers.Dense(32, activation="relu", name="before")(x)
    x = TensorTrainDense(64, 4, activation="relu", name="train")(x)
    x = keras.layers.Dense(48, activation="relu", name="behind")(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="head")(x))


tokens = rng.integers(0, 50, (64, 6))


@on_tensorflow
@pytest.mark.parametrize("quantize", [None, "int8"])
def test_a_file_answers_as_keras_and_holds_the_cores(quantize, tmp_path):
    keras.utils.set_random_seed(0)
    x = rng.normal(size=(32, 2, 64)).astype("float32")
    model = keras.Sequential([keras.Input((2, 64)), TensorTrainDense(512, 4, activation="relu"), keras.layers.Dense(4)])
    report = slim.export_tflite(model, tmp_path / "model.tflite", quantize, data=x, verbose=0)
    assert report.bytes < 64 * 512, "less than the kernel would take with a byte each"


@on_tensorflow
def test_a_file_of_a_table_answers_as_keras(tmp_path):
    inputs = keras.Input((6,), dtype="int32")
    model = keras.Model(inputs, TensorTrainEmbedding(50, 16, 4)(inputs))
    report = slim.export_tflite(model, tmp_path / "model.tflite", data=tokens, verbose=0)
    assert report.agreement.sqnr_db > 100


@on_tensorflow
def test_it_is_left_whole_by_what_makes_other_layers_smaller_and_told_of(tmp_path):
    model = network()
    plan = slim.plan_pruning(model, 0.2, criterion="l1")
    assert "tensor train" in plan.describe()
    small = slim.prune(model, 0.2, criterion="l1")
    for name in ("table", "train"):
        for old, new in zip(model.get_layer(name).weights, small.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(array(new), array(old))
    assert small.get_layer("behind").units < 48
    rounded = slim.quantize(model, "int", skip=())
    assert isinstance(rounded.get_layer("train"), TensorTrainDense)
    assert slim.rewriting.describe(rounded)
    codes = slim.share_weights(clone := keras.models.clone_model(model), bits=3)
    assert not [path for path in codes.describe().splitlines() if "train" in path or "table" in path]
    assert len(np.unique(array(clone.get_layer("behind").kernel))) <= 9
    slim.save_compressed(model, tmp_path / "model.h5")
    np.testing.assert_array_equal(array(slim.load_compressed(tmp_path / "model.h5")(tokens)), array(model(tokens)))
    factors = slim.plan_factorization(model, ranks=2)
    reasons = {each.path: each.reason for each in factors.whole}
    assert reasons["train"] == reasons["table"] == "it is a product already"
    again = slim.factorize(model, factors)
    assert isinstance(again.get_layer("train"), TensorTrainDense)


def test_with_high_ranks_large_batches_build_the_matrix_and_one_sample_does_not():
    layer = TensorTrainDense(64, 30)
    x = rng.normal(size=(500, 64)).astype("float32")
    large = array(layer(x))
    assert layer.builds_matrix(None)
    assert layer.builds_matrix(500)
    assert not layer.builds_matrix(1)
    np.testing.assert_allclose(large[:1], array(layer(x[:1])), atol=1e-5)


@on_tensorflow
def test_a_file_has_the_cores_even_if_large_batches_would_build_the_matrix(tmp_path):
    model = keras.Sequential([keras.Input((8, 64)), keras.layers.Flatten(), TensorTrainDense(512, 16)])
    assert model.layers[-1].builds_matrix(None)
    assert slim.export_tflite(model, tmp_path / "model.tflite", verbose=0).bytes < 512 * 512
