"""Blocks of weights share vectors: the values, zeros, what data is for, training, and the compressed file."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.coding.blocks import Cut
from keras_slim.errors import SlimWarning
from keras_slim.sharing import Codes
from keras_slim.sparsity import Masks, kernels, magnitude_masks

RNG = np.random.default_rng(0)


def network():
    model = [keras.Input((24,)), layers.Dense(40, "relu", name="hidden"), layers.Dense(8, name="head")]
    keras.utils.set_random_seed(0)
    return keras.Sequential(model, name="net")


def vectors(weight, size, within_rows=False):
    """Returns how many different blocks a weight has."""
    weight = keras.ops.convert_to_numpy(weight)
    return len(np.unique(Cut(weight.shape, size, within_rows)(weight).reshape(-1, size), axis=0))


def test_blocks_get_the_vectors_of_k_means():
    """By hand: columns cut in two inputs each; two clusters, and their means."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="head")], name="net")
    model.layers[0].kernel.assign([[1, 11], [2, 12], [3, 13], [4, 14]])
    codes = slim.share_weights(model, bits=1, block=2)
    assert model.layers[0].kernel.numpy().tolist() == [[2, 12], [3, 13], [2, 12], [3, 13]]
    assert codes == Codes({"net/head/kernel": [[1, 3], [2, 4], [1, 3], [2, 4]]})


def test_codebooks_are_for_groups_of_inputs():
    """By hand: one vector for the first block of each output, one for the second."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="head")], name="net")
    model.layers[0].kernel.assign([[1, 3], [1, 5], [10, 20], [30, 40]])
    codes = slim.share_weights(model, bits=1, block=2, codebooks=2)["net/head/kernel"]
    assert model.layers[0].kernel.numpy().tolist() == [[1, 3], [1, 5], [10, 20], [30, 40]]
    assert len(set(codes[:2].ravel()) & set(codes[2:].ravel())) == 0
    rounded = network()
    slim.share_weights(rounded, bits=2, block=4, codebooks=3)
    kernel = rounded.layers[0].kernel.numpy()
    assert [vectors(part, 4) for part in np.split(kernel, 3)] == [4, 4, 4]


@pytest.mark.parametrize("init", [None, "linear", "density", "kmeans++"])
@pytest.mark.parametrize("number", [None, 2])
def test_blocks_of_one_are_single_values(init, number):
    """The same as one k-means for each group of inputs, of values alone."""
    model, other = network(), network()
    options = {} if number is None else {"codebooks": number}
    codes = slim.share_weights(model, 2, init, block=1, **options)
    for path, kernel in kernels(other).items():
        parts = np.split(kernel.numpy(), number or 1)
        values = [slim.coding.shared_values(part, 4, init or "linear") for part in parts]
        wanted = np.concatenate([slim.coding.nearest_values(*each) for each in zip(parts, values, strict=True)])
        np.testing.assert_array_equal(kernels(model)[path], wanted)
        if number is None:
            np.testing.assert_array_equal(codes[path], 1 + slim.coding.nearest_codes(kernel.numpy(), values[0]))


BUILDERS = {
    "dense": ((8,), lambda: layers.Dense(60), 4),
    "shorter last block": ((10,), lambda: layers.Dense(60), 4),
    "planes": ((6, 6, 3), lambda: layers.Conv2D(30, 3), 9),
    "1x1": ((6, 6, 8), lambda: layers.Conv2D(30, 1), 4),
    "depthwise": ((6, 6, 40), lambda: layers.DepthwiseConv2D(3), 9),
    "embedding": ((5,), lambda: layers.Embedding(50, 8), 4),
    "recurrent": ((5, 8), lambda: layers.LSTM(8), 4),
    "bfloat16": ((8,), lambda: layers.Dense(60, dtype="bfloat16"), 4),
    "float64": ((8,), lambda: layers.Dense(60, dtype="float64"), 4),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_every_layer(name):
    shape, make, block = BUILDERS[name]
    model = keras.Sequential([keras.Input(shape), make()])
    codes = slim.share_weights(model, 2, block=block)
    for path, code in codes.items():
        weight = next(each for each in model.weights if each.path == path)
        value = keras.ops.convert_to_numpy(weight).astype("float64")
        assert (value != 0).all()
        assert len(set(zip(value.ravel().tolist(), code.ravel().tolist(), strict=True))) <= 4 * block
        if name != "shorter last block":
            assert vectors(value, block, "embeddings" in path) == 4
    assert slim.share_weights(model, 2, block=block) == codes  # it is what it was made to be


def test_zeros_stay_zero_and_have_no_part():
    model = network()
    magnitude_masks(kernels(model), 0.4).apply(model)
    hidden = model.layers[0].kernel.numpy()
    hidden[:4] = 0  # whole blocks
    model.layers[0].kernel.assign(hidden)
    before = Masks.nonzero(model)
    codes = slim.share_weights(model, bits=2, block=4)
    assert Masks.nonzero(model) == before
    for path, kernel in kernels(model).items():
        np.testing.assert_array_equal(codes[path] == 0, kernel.numpy() == 0)
        assert len(np.unique(kernel.numpy()[kernel.numpy() != 0])) <= 4 * 4
    weights = model.get_weights()
    slim.share_weights(model, bits=2, block=4)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(("sparsity", "bits", "block"), [(0.7, 7, 9), (0.9, 3, 4), (0.95, 3, 9)])
def test_few_vectors_are_known_again_where_most_weights_are_zero(sparsity, bits, block):
    """Where hardly a block tells which numbers go together, so that values fitted to data are not lost."""
    model = keras.Sequential([keras.Input((100,)), layers.Dense(64)])
    magnitude_masks(kernels(model), sparsity).apply(model)
    slim.share_weights(model, bits, block=block, data=RNG.normal(size=(60, 100)).astype("float32"))
    kernel = model.layers[0].kernel.numpy()
    slim.share_weights(model, bits, block=block)
    np.testing.assert_array_equal(model.layers[0].kernel, kernel)


def loss_of(model, shared, x):
    return float(np.square(np.asarray(model(x)) - np.asarray(shared(x))).sum())


@pytest.mark.parametrize("block", [1, 3, 4, 5])
@pytest.mark.parametrize("sparsity", [0, 0.3])
@pytest.mark.parametrize("codebooks", [1, 2])
def test_with_data_no_output_is_farther_off(block, sparsity, codebooks):
    """On the data themselves, for one layer, with inputs that depend on one another."""
    x = (RNG.normal(size=(300, 6)) @ RNG.normal(size=(6, 20)) + 0.1 * RNG.normal(size=(300, 20))).astype("float32")
    model = keras.Sequential([keras.Input((20,)), layers.Dense(30, name="head")], name="net")
    magnitude_masks(kernels(model), sparsity).apply(model)
    plain, fitted = keras.models.clone_model(model), keras.models.clone_model(model)
    for each in (plain, fitted):
        each.set_weights(model.get_weights())
    options = {"bits": 2, "block": block, "codebooks": codebooks}
    slim.share_weights(plain, **options)
    codes = slim.share_weights(fitted, **options, data=x)["net/head/kernel"]
    assert loss_of(model, fitted, x) < 0.7 * loss_of(model, plain, x)
    kernel = fitted.layers[0].kernel.numpy()
    np.testing.assert_array_equal(kernel == 0, model.layers[0].kernel.numpy() == 0)
    for code in np.unique(codes):
        assert len(set(kernel[codes == code].tolist())) == 1


def test_vectors_are_the_least_squares_of_their_blocks():
    """No move of a vector, nor of any block to another vector, makes the outputs nearer."""
    x = RNG.normal(size=(200, 8)) @ RNG.normal(size=(8, 8))
    model, fitted = (keras.Sequential([keras.Input((8,)), layers.Dense(6, use_bias=False)]) for _ in range(2))
    fitted.set_weights(model.get_weights())
    codes = next(iter(slim.share_weights(fitted, 1, block=2, data=x.astype("float32")).values()))
    wanted, kernel = model.layers[0].kernel.numpy().astype(float), fitted.layers[0].kernel.numpy().astype(float)

    def loss(kernel):
        return np.square(x @ (kernel - wanted)).sum()

    for code in np.unique(codes):
        for step in (-1e-2, 1e-2):
            assert loss(kernel + step * (codes == code)) >= loss(kernel) * (1 - 1e-4)


def test_layers_are_fitted_to_what_those_before_have_become():
    """The second layer makes up for the first: nearer than one fitted to the inputs that it had."""
    x = RNG.normal(size=(400, 24)).astype("float32")
    model, fitted, apart = network(), network(), network()
    options = {"block": 4, "data": x}
    slim.share_weights(fitted, {"hidden": 2, "head": 3}, **options)
    slim.share_weights(apart, {"head": 3}, **options)
    slim.share_weights(apart, {"hidden": 2}, block=4)
    apart.layers[0].kernel.assign(fitted.layers[0].kernel)
    assert loss_of(model, fitted, x) < loss_of(model, apart, x)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_convolutions_are_fitted(data_format):
    shape = (8, 8, 3) if data_format == "channels_last" else (3, 8, 8)
    x = np.cumsum(RNG.normal(size=(20, *shape)), axis=2).astype("float32")
    layer = layers.Conv2D(20, 3, data_format=data_format)
    model = keras.Sequential([keras.Input(shape), layer])
    kernel = layer.kernel.numpy()
    losses = []
    for data in (None, x):
        layer.kernel.assign(kernel)
        slim.share_weights(model, 2, block=9, data=data)
        rows = np.lib.stride_tricks.sliding_window_view(x if shape[0] == 3 else np.moveaxis(x, 3, 1), (3, 3), (2, 3))
        losses.append(np.square(np.einsum("bixyhw,hwio->bxyo", rows, layer.kernel.numpy() - kernel)).sum())
    assert losses[1] < 0.8 * losses[0]


def test_embeddings_and_recurrent_kernels_go_along_with_data():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((6,), dtype="int32"), layers.Embedding(40, 8), layers.LSTM(8), layers.Dense(20)]
    )
    codes = slim.share_weights(model, 2, block=4, data=RNG.integers(0, 40, (64, 6)))
    assert len(codes) == 4
    by_path = {weight.path: weight for weight in model.weights}
    assert [vectors(by_path[path], 4, "embeddings" in path) for path in codes] == [4] * 4


def test_training_moves_vectors_as_parameters():
    """The sum of the gradients of the members is the gradient of the value; zeros and ties stay."""
    x, y = RNG.normal(size=(32, 24)).astype("float32"), RNG.normal(size=(32, 8)).astype("float32")
    model = network()
    magnitude_masks(kernels(model), 0.2).apply(model)
    codes = slim.share_weights(model, 2, block=4)
    rate, before = 0.01, [weight.numpy() for weight in model.weights]
    model.compile(keras.optimizers.SGD(rate), "mse")
    sharing = slim.callbacks.WeightSharing(2, gradient="sum", block=4, verbose=0)
    free = network()
    free.set_weights(before)
    free.compile(keras.optimizers.SGD(rate), "mse")
    free.fit(x, y, batch_size=32, epochs=1, verbose=0)
    logs = model.fit(x, y, batch_size=32, epochs=1, verbose=0, callbacks=[sharing]).history
    assert sharing.codes == codes
    for path, kernel in kernels(model).items():
        old = before[[weight.path for weight in model.weights].index(path)]
        moved = kernels(free)[path].numpy() - old
        for code in range(1, codes[path].max() + 1):
            members = codes[path] == code
            np.testing.assert_allclose((kernel.numpy() - old)[members], moved[members].sum(), atol=2e-6)
            assert len({each.tobytes() for each in kernel.numpy()[members]}) <= 1
        assert not kernel.numpy()[codes[path] == 0].any()
    values = sum(1 + int(each.max()) for each in codes.values())  # with zero
    assert logs["distinct_values"] == [codes.num_values]
    blocks, states = (24 * 40 + 40 * 8) // 4, 3  # bits for four vectors and blocks of zeros
    assert logs["weight_bytes"][0] <= (32 * values + states * blocks + 32 * 48) / 8


def test_vectors_fitted_to_data_are_trained_from_there():
    x, y = RNG.normal(size=(64, 24)).astype("float32"), RNG.normal(size=(64, 8)).astype("float32")
    model = network()
    codes = slim.share_weights(model, 3, block=4, data=x)
    model.compile("adam", "mse")
    sharing = slim.callbacks.WeightSharing(3, block=4, verbose=0)
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=[sharing]).history
    assert {path: len(np.unique(each)) for path, each in sharing.codes.items()} == {
        path: len(np.unique(each)) for path, each in codes.items()
    }
    assert history["loss"][-1] < history["loss"][0]
    assert vectors(model.layers[0].kernel, 4) == 8
    again = type(sharing).from_config(sharing.get_config())
    assert again.get_config() == sharing.get_config()


def test_blocks_by_layer_and_biases():
    model = network()
    model.layers[1].bias.assign(np.arange(1, 9))
    slim.share_weights(model, {"hidden": 2, "head": 1}, block={"hidden": 4}, bias_bits=2)
    assert vectors(model.layers[0].kernel, 4) == 4
    assert len(np.unique(model.layers[1].kernel)) == 2
    assert len(np.unique(model.layers[1].bias)) == 4


def test_the_compressed_file_holds_codes_and_vectors(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((200,)), layers.Dense(100, name="hidden"), layers.Dense(64, name="head")])
    slim.share_weights(model, 5, block=5)
    report = slim.save_compressed(model, tmp_path / "model.slim.h5", float16=True)
    for old, new in zip(
        model.get_weights(), slim.load_compressed(tmp_path / "model.slim.h5").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(new, old)
    hidden = report.layers[0]
    assert (hidden.bits, hidden.block) == (5, 5)
    codes, book, bias = 200 * 100 // 5 * 5 // 8, 32 * 5 * 4, 2 * 100
    assert hidden.bytes <= codes + book + bias + 60
    assert "5 / 5" in str(report)
    assert slim.compression.inspect_compressed(tmp_path / "model.slim.h5") == report


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"block": 0}, ValueError, "`block` of"),
        ({"block": 65}, ValueError, "`block` of.*1 to 64"),
        ({"block": 2.5}, TypeError, "`block` of"),
        ({"codebooks": 0}, ValueError, "`codebooks` of"),
        ({"init": "linear", "block": 4}, ValueError, "`init` of.*kmeans"),
    ],
)
def test_what_cannot_be_is_refused(options, error, words):
    model = network()
    before = model.get_weights()
    for share in (lambda: slim.share_weights(model, **options), lambda: slim.callbacks.WeightSharing(**options)):
        with pytest.raises(error, match=words):
            share()
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_names_of_blocks_that_are_not_found():
    with pytest.raises(ValueError, match=r"Did you mean 'hidden'\?"):
        slim.share_weights(network(), block={"hiden": 4})


def test_data_that_is_not_finite_changes_nothing():
    model = network()
    before = model.get_weights()
    with pytest.raises(ValueError, match="not finite"):
        slim.share_weights(model, 2, block=4, data=np.full((8, 24), np.nan, "float32"))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_layers_too_large_to_be_looked_at_are_told_of_where_the_user_calls():
    model, plain = network(), network()
    with pytest.warns(SlimWarning, match=r"Layers \['head'\] read so many numbers") as told:
        slim.share_weights(model, 2, block=4, data=RNG.normal(size=(50, 24)).astype("float32"), memory=20_000)
    assert [each.filename for each in told if each.category is SlimWarning] == [__file__]
    slim.share_weights(plain, 2, block=4)
    np.testing.assert_array_equal(model.layers[1].kernel, plain.layers[1].kernel)
