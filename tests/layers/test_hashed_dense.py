"""A dense layer whose kernel a hash lays out from a few numbers."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.layers import HashedDense
from keras_slim.layers.hashed_places import hashed_places

RNG = np.random.default_rng(0)


def place_by_hand(row, column, num_buckets, seed):
    """The definition, in Python's own integers."""
    z = (row * 2**32 + column + (seed + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    z ^= z >> 31
    return (z >> 32) * num_buckets // 2**32 + (z % 2) * num_buckets


@pytest.mark.parametrize(("num_buckets", "seed"), [(4, 0), (7, 5), (1000, 2**32 - 1), (2**30, 2**70)])
def test_places_are_those_of_the_definition(num_buckets, seed):
    places = hashed_places((5, 6), num_buckets, seed)
    expected = [[place_by_hand(row, column, num_buckets, seed) for column in range(6)] for row in range(5)]
    assert (places.dtype, places.tolist()) == ("int32", expected)


def test_places_never_change_since_files_rely_on_them():
    assert hashed_places((2, 3), 4, seed=0).tolist() == [[7, 6, 2], [3, 4, 2]]
    assert hashed_places((3, 4), 1000, seed=2**32 - 1).tolist() == [
        [1745, 765, 657, 583],
        [274, 874, 1134, 989],
        [1013, 1052, 1080, 258],
    ]


def test_buckets_are_as_full_as_by_chance_and_signs_fall_as_a_coin():
    num_buckets, shape = 1000, (200, 320)
    places = hashed_places(shape, num_buckets, seed=3)
    sizes = np.bincount(places.ravel() % num_buckets, minlength=num_buckets)
    mean = 200 * 320 / num_buckets  # of a Poisson distribution, whose variance it is too
    assert abs(sizes.var() / mean - 1) < 0.2
    minus = places >= num_buckets
    for one, other in ((minus, 1), (minus[:-1] == minus[1:], 1), (minus[:, :-1] == minus[:, 1:], 1)):
        assert abs(one.mean() - other / 2) < 0.01
    assert abs(np.corrcoef(minus.ravel(), places.ravel() % num_buckets)[0, 1]) < 0.02
    others = hashed_places(shape, num_buckets, seed=4)
    assert (others % num_buckets == places % num_buckets).mean() < 3 / num_buckets


def built(shape=(None, 5), units=4, num_weights=7, **options):
    layer = HashedDense(units, num_weights=num_weights, bias_initializer="normal", **options)
    layer.build(shape)
    return layer


def by_hand(layer, channels=5):
    """The kernel, place by place."""
    numbers = keras.ops.convert_to_numpy(layer.hashed_kernel)
    kernel = np.zeros((channels, layer.units))
    for row in range(channels):
        for column in range(layer.units):
            place = place_by_hand(row, column, len(numbers), layer.seed)
            kernel[row, column] = numbers[place % len(numbers)] * (-1 if place >= len(numbers) else 1)
    return kernel


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (2, 1, 3, 5)])
def test_it_answers_as_a_dense_layer_with_that_kernel(shape):
    layer = built(shape, seed=9, activation="tanh")
    dense = layers.Dense(4, activation="tanh")
    dense.build(shape)
    dense.set_weights([by_hand(layer), layer.bias])
    x = RNG.normal(size=shape).astype("float32")
    np.testing.assert_allclose(layer(x), dense(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layer.kernel, by_hand(layer).astype("float32"))
    assert layer.compute_output_shape(shape) == (*shape[:-1], 4)


def test_the_gradient_of_a_number_is_the_sum_over_its_places():
    layer, x, weight = built(), RNG.normal(size=(3, 5)), RNG.normal(size=(3, 4))
    model = keras.Sequential([keras.Input((5,)), layer])
    model.compile(keras.optimizers.SGD(1.0), lambda wanted, given: keras.ops.sum(wanted * given, axis=-1))
    before = layer.get_weights()[0]
    model.train_on_batch(x.astype("float32"), weight.astype("float32"))
    of_kernel, expected = x.T @ weight / 3, np.zeros(7)
    for row in range(5):
        for column in range(4):
            place = place_by_hand(row, column, 7, 0)
            expected[place % 7] += of_kernel[row, column] * (-1 if place >= 7 else 1)
    np.testing.assert_allclose(before - layer.get_weights()[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow has gradients that are slices")
def test_gradients_are_whole_tensors():
    import tensorflow as tf

    layer = built()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(np.ones((3, 5), "float32")))
    assert isinstance(tape.gradient(loss, layer.hashed_kernel.value), tf.Tensor)


def test_weights_are_the_numbers_and_the_bias_alone():
    layer = built()
    assert [tuple(each.shape) for each in layer.weights] == [(7,), (4,)]
    assert layer.trainable_weights == layer.weights == layer.variables
    assert built(use_bias=False).count_params() == 7


@pytest.mark.parametrize(("ratio", "expected"), [(0.875, 250), (0.5, 1000), (0.9999, 1)])
def test_ratio_is_the_share_removed(ratio, expected):
    layer = HashedDense(40, ratio=ratio)
    layer.build((None, 50))
    assert layer.hashed_kernel.shape[0] == expected


@pytest.mark.parametrize("initializer", ["glorot_uniform", "he_normal"])
def test_the_variance_is_that_of_the_initializer_for_the_whole_kernel(initializer):
    layer = HashedDense(200, ratio=0.5, kernel_initializer=initializer)
    layer.build((None, 300))
    expected = {"glorot_uniform": 2 / 500, "he_normal": 2 / 300}[initializer]
    for values in (layer.kernel, layer.hashed_kernel):
        assert abs(float(np.var(values)) / expected - 1) < 0.05


def test_assigned_numbers_are_the_best_by_the_sum_of_squares():
    layer, kernel = built(), RNG.normal(size=(5, 4))
    layer.assign_kernel(kernel)
    basis = np.zeros((20, 7))
    for row in range(5):
        for column in range(4):
            place = place_by_hand(row, column, 7, 0)
            basis[row * 4 + column, place % 7] = -1 if place >= 7 else 1
    best = np.linalg.lstsq(basis, kernel.ravel(), rcond=None)[0]
    np.testing.assert_allclose(layer.hashed_kernel, best, rtol=1e-5, atol=1e-6)
    again = keras.ops.convert_to_numpy(layer.kernel)
    layer.assign_kernel(again)
    np.testing.assert_allclose(layer.kernel, again, rtol=1e-6)


def test_a_regularizer_and_a_constraint_are_about_the_numbers():
    layer = built(kernel_regularizer=keras.regularizers.L2(0.5), kernel_constraint="non_neg")
    (loss,) = layer.losses
    np.testing.assert_allclose(loss, 0.5 * np.sum(np.square(layer.hashed_kernel)), rtol=1e-6)
    assert layer.hashed_kernel.constraint is layer.kernel_constraint


def test_the_config_makes_the_same_layer():
    config = HashedDense(4, "relu", ratio=0.75, seed=3, name="a").get_config()
    again = HashedDense.from_config(config)
    assert (again.ratio, again.num_weights, again.seed, again.get_config()) == (0.75, None, 3, config)
    assert again.activation is keras.activations.relu


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_precision_is_that_of_the_policy(policy):
    layer = built(dtype=policy)
    x = RNG.normal(size=(3, 5))
    assert keras.backend.standardize_dtype(layer(x).dtype) == layer.compute_dtype
    assert {each.dtype for each in layer.weights} == {layer.variable_dtype}
    tolerance = {"float16": 5e-3, "bfloat16": 5e-2, "float64": 1e-6}[layer.compute_dtype]
    expected = x @ by_hand(layer) + keras.ops.convert_to_numpy(layer.bias)
    np.testing.assert_allclose(keras.ops.cast(layer(x), "float64"), expected, rtol=tolerance, atol=tolerance)


def network():
    hidden = HashedDense(32, ratio=0.9, seed=1, activation="relu", name="hidden")
    return keras.Sequential([keras.Input((40,)), hidden, HashedDense(3, num_weights=20, name="head")], name="net")


@pytest.mark.parametrize("options", [{}, {"jit_compile": True}, {"run_eagerly": True}])
def test_it_learns_in_every_kind_of_step(options):
    keras.utils.set_random_seed(0)
    model = network()
    model.compile(keras.optimizers.Adam(0.01), "mse", **options)
    x = RNG.normal(size=(64, 40)).astype("float32")
    losses = model.fit(x, x[:, :3], epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]


def test_files_hold_the_numbers_and_no_places(tmp_path):
    wide = HashedDense(500, num_weights=100, use_bias=False)
    model = keras.Sequential([keras.Input((400,)), wide])
    x = RNG.normal(size=(3, 400)).astype("float32")
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras").predict(x, verbose=0), expected)
    report = slim.save_compressed(model, tmp_path / "model.h5")
    np.testing.assert_array_equal(slim.load_compressed(tmp_path / "model.h5").predict(x, verbose=0), expected)
    assert (tmp_path / "model.keras").stat().st_size < 30_000  # a matrix of 200,000 places has 800,000
    size = (tmp_path / "model.h5").stat().st_size
    assert 4 * 100 * 0.8 < size < 4 * 100 + 1000, report


def test_the_profile_counts_the_numbers_and_the_work_of_the_whole_kernel():
    layer = HashedDense(20, num_weights=30)
    model = keras.Sequential([keras.Input((6, 10)), layer])
    profile = slim.profile(model)
    assert (profile.parameters, profile.macs) == (30 + 20, 6 * 10 * 20)


def test_others_tell_of_it_and_leave_it_whole():
    stack = [layers.Dense(8, "relu", name="a"), HashedDense(8, ratio=0.5, name="b"), layers.Dense(8, name="c")]
    model = keras.Sequential([keras.Input((6,)), *stack, layers.Dense(2, name="d")])
    plan = slim.plan_pruning(model, ratio=0.3, verbose=0)
    assert "a hash of rows and columns lays out its kernel" in plan.describe()
    with pytest.warns(slim.errors.SlimWarning, match="'b'.*derives from"):
        rounded = slim.quantize(model, "int", "int", skip=())
    assert type(rounded.get_layer("b")) is HashedDense
    assert "b" not in {each.path for each in slim.plan_factorization(model, ranks=1, verbose=0).layers}


def test_its_numbers_can_become_zero():
    model = network()
    model.compile("sgd", "mse")
    x = RNG.normal(size=(16, 40)).astype("float32")
    pruning = slim.callbacks.GradualPruning(0.5, verbose=0)
    model.fit(x, x[:, :3], epochs=2, callbacks=[pruning], verbose=0)
    assert [np.mean(layer.get_weights()[0] == 0) for layer in model.layers] == [0.5, 0.5]


def test_its_numbers_can_share_values():
    model = network()
    slim.share_weights(model, bits=2)
    assert len(np.unique(model.get_layer("hidden").hashed_kernel)) <= 5
    assert len(np.unique(np.abs(model.get_layer("hidden").kernel))) <= 5


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "`num_weights` of `HashedDense`.*one of the two"),
        ({"num_weights": 3, "ratio": 0.5}, ValueError, "one of the two"),
        ({"num_weights": 0}, ValueError, "an integer of at least 1"),
        ({"ratio": 1.0}, ValueError, "a share in"),
        ({"ratio": 0.5, "seed": -1}, ValueError, "`seed` of `HashedDense`"),
        ({"ratio": 0.5, "seed": 0.5}, TypeError, "`seed` of `HashedDense`"),
    ],
)
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        HashedDense(4, **options)


def test_more_numbers_than_places_are_refused():
    with pytest.raises(ValueError, match="Expected at most 20, the places in a kernel of shape"):
        HashedDense(4, num_weights=21).build((None, 5))


def test_keras_can_neither_quantize_nor_adapt_it():
    for method, argument in (("quantize", "int8"), ("enable_lora", 4)):
        with pytest.raises(NotImplementedError, match="does not store its kernel"):
            getattr(built(), method)(argument)


def test_a_kernel_of_another_shape_is_refused_and_a_width_has_to_be_known():
    with pytest.raises(ValueError, match=r"Expected an array of shape \(5, 4\)"):
        built().assign_kernel(np.ones((1, 4)))
    with pytest.raises(ValueError, match="Build it first"):
        HashedDense(4, ratio=0.5).assign_kernel(np.ones((5, 4)))
    with pytest.raises(ValueError, match="a known last dimension"):
        HashedDense(4, ratio=0.5).build((None, None))
