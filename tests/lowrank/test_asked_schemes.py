"""Tensor trains and CP, which have to be asked for: exact at full rank, counted right, and what cannot be is told."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.factorization import CANONICAL, SCHEMES, TrainScheme
from keras_slim.layers import TensorTrainDense, TensorTrainEmbedding
from keras_slim.lowrank import FactorizationPlan, LayerFactors, Size

rng = np.random.default_rng(0)
CONVOLUTIONS = {
    "1d": (layers.Conv1D, (9, 4), {"kernel_size": 3, "strides": 2, "padding": "same"}),
    "2d": (layers.Conv2D, (7, 8, 4), {"kernel_size": (3, 2)}),
    "2d-same": (layers.Conv2D, (7, 8, 4), {"kernel_size": 3, "padding": "same", "strides": 2}),
    "2d-dilated": (layers.Conv2D, (7, 8, 4), {"kernel_size": 3, "padding": "same", "dilation_rate": (2, 1)}),
}


def of_one_layer(layer, shape, dtype="float64"):
    """A model of one layer, with a bias that is not zero."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input(shape, dtype=dtype), layer], name="net")
    if getattr(layer, "use_bias", False):
        layer.bias.assign(rng.normal(size=layer.bias.shape))
    return model


def plan_of(layer, scheme, ranks):
    """A plan for one layer, made by hand."""
    kernel = layer.embeddings if hasattr(layer, "embeddings") else layer.kernel
    entry = LayerFactors(layer.name, scheme, tuple(kernel.shape), tuple(ranks), 0.0)
    return FactorizationPlan((entry,), (), Size(0, 0), Size(0, 0))


@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.parametrize("known", [False, True])
def test_cp_of_full_rank_is_exact(kind, known):
    layer_type, shape, options = CONVOLUTIONS[kind]
    layer = layer_type(5, **options, activation="tanh", name="net", dtype="float64")
    model = of_one_layer(layer, shape)
    x = rng.normal(size=(30, *shape))
    plan = plan_of(layer, "cp", CANONICAL.full(tuple(layer.kernel.shape)))
    small = slim.factorize(model, plan, x if known else None)
    np.testing.assert_allclose(small(x), model(x), atol=1e-6 if known else 1e-10)
    assert [each.name for each in small.layers] == ["net_factor_1", "net_factor_2", "net"]
    assert type(small.layers[1]).__name__.startswith("Depthwise")


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_model_of_cp_answers_as_that_with_the_product_and_costs_what_the_plan_says(kind):
    layer_type, shape, options = CONVOLUTIONS[kind]
    layer = layer_type(5, **options, name="net", dtype="float64", kernel_regularizer="l2", trainable=False)
    model = of_one_layer(layer, shape)
    x = rng.normal(size=(8, *shape))
    plan = slim.plan_factorization(model, ranks=2, scheme="cp")
    small = slim.factorize(model, plan)
    cost = slim.profile(small)
    assert (cost.parameters, cost.macs) == (plan.after.params, plan.after.macs)
    penalties = [small.layers[0].kernel_regularizer, small.layers[1].depthwise_regularizer]
    assert all(isinstance(each, keras.regularizers.L2) for each in (*penalties, small.layers[2].kernel_regularizer))
    assert not any(each.trainable for each in small.layers)
    layer.kernel.assign(CANONICAL.fit(np.array(layer.kernel), (2,)).product())
    np.testing.assert_allclose(small(x), model(x), atol=1e-10)
    assert FactorizationPlan.from_json(plan.to_json()) == plan


@pytest.mark.channels_first
def test_cp_with_channels_first():
    layer = layers.Conv2D(5, 3, padding="same", strides=2, data_format="channels_first", name="net", dtype="float32")
    model = of_one_layer(layer, (4, 9, 8), "float32")
    x = rng.normal(size=(50, 4, 9, 8)).astype("float32")
    plan = plan_of(layer, "cp", CANONICAL.full(tuple(layer.kernel.shape)))
    for data in (None, x):
        np.testing.assert_allclose(slim.factorize(model, plan, data)(x[:8]), model(x[:8]), atol=1e-4)


def test_data_makes_the_factors_of_cp_and_the_biases_of_both_better():
    convolution = layers.Conv2D(8, 3, name="conv", dtype="float64")
    dense = layers.Dense(24, name="dense", dtype="float64")
    model = keras.Sequential([keras.Input((8, 8, 6), dtype="float64"), convolution, layers.Flatten(), dense])
    x = 2 + np.cumsum(rng.normal(size=(200, 8, 8, 6)), axis=1)
    plan = slim.plan_factorization(model, ranks=4, scheme={"conv": "cp", "dense": "tensor_train"}, data=x)
    assert [each.scheme for each in plan.layers] == ["cp", "tensor_train"]
    answers = np.array(model(x))
    plain, fitted = (np.array(slim.factorize(model, plan, data)(x)) for data in (None, x))
    np.testing.assert_allclose(fitted.mean(axis=0), answers.mean(axis=0), atol=1e-3)
    assert np.linalg.norm(fitted - answers) < 0.9 * np.linalg.norm(plain - answers)


@pytest.mark.parametrize("shape", [(24,), (5, 24)])
@pytest.mark.parametrize("known", [False, True])
def test_a_dense_layer_as_a_train_of_full_rank(shape, known):
    dense = layers.Dense(30, "relu", name="net", dtype="float64")
    model = of_one_layer(dense, shape)
    x = rng.normal(size=(60, *shape))
    plan = plan_of(dense, "tensor_train", TrainScheme().full((24, 30)))
    small = slim.factorize(model, plan, x if known else None)
    np.testing.assert_allclose(small(x), model(x), atol=1e-5 if known else 1e-10)
    (train,) = small.layers
    assert isinstance(train, TensorTrainDense)
    assert (train.name, train.activation) == ("net", keras.activations.relu)


def test_a_table_as_a_train_still_masks():
    inputs = keras.Input((7,), dtype="int32")
    x = layers.Embedding(53, 24, mask_zero=True, name="table")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="head")(layers.GlobalAveragePooling1D()(x)))
    tokens = rng.integers(0, 53, (30, 7))
    full = slim.factorize(
        model, plan_of(model.get_layer("table"), "tensor_train", TrainScheme(True).full((53, 24))), tokens
    )
    np.testing.assert_allclose(full(tokens), model(tokens), atol=1e-5)
    plan = slim.plan_factorization(model, 0.5, of="params", scheme="tensor_train", ignore=["head"])
    small = slim.factorize(model, plan, tokens)
    assert isinstance(small.get_layer("table"), TensorTrainEmbedding)
    assert (slim.profile(small).parameters, slim.profile(small).macs) == (plan.after.params, plan.after.macs)
    assert plan.after.params <= 0.5 * plan.before.params
    assert plan.after.macs > plan.before.macs, "a table computes nothing, its train does"


@pytest.mark.parametrize("shape", [(64,), (40, 64)])
def test_a_train_costs_what_the_plan_says_and_loses_what_it_says(shape, tmp_path):
    dense = layers.Dense(64, name="net", use_bias=False)
    model = of_one_layer(dense, shape, "float32")
    for ranks in (2, 6, "energy"):
        plan = slim.plan_factorization(
            model, ranks=slim.lowrank.Energy(0.3) if ranks == "energy" else ranks, scheme="tensor_train"
        )
        (entry,) = plan.layers
        small = slim.factorize(model, plan)
        cost = slim.profile(small)
        assert (cost.parameters, cost.macs) == (plan.after.params, plan.after.macs)
        kernel = np.array(dense.kernel)
        missed = ((np.array(small.layers[0].matrix()) - kernel) ** 2).sum() / (kernel**2).sum()
        assert entry.lost == pytest.approx(missed, rel=1e-4)
        assert "net: tensor_train 64 -> " in plan.describe()
    small.save(tmp_path / "small.keras")
    x = rng.normal(size=(3, *shape)).astype("float32")
    np.testing.assert_allclose(keras.saving.load_model(tmp_path / "small.keras")(x), small(x), atol=1e-6)


def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 8))
    x = layers.Conv2D(8, 3, name="conv")(inputs)
    x = layers.Conv2D(8, 3, strides=(2, 1), name="unequal")(x)
    x = layers.Conv2D(8, 1, name="point")(x)
    x = layers.Conv2D(8, 3, groups=2, name="grouped")(x)
    x = layers.Reshape((-1, 8))(x)
    x = layers.Conv1D(8, 3, padding="causal", name="causal")(x)
    x = layers.LSTM(8, name="recurrent")(x)
    return keras.Model(inputs, layers.Dense(32, name="head")(layers.Dense(32, name="hidden")(x)))


def test_what_has_no_such_product_stays_whole_and_is_told():
    model = network()
    plan = slim.plan_factorization(model, ranks=2, scheme="cp")
    assert [each.path for each in plan.layers] == ["conv"]
    reasons = {each.path: each.reason for each in plan.whole}
    assert "unequal strides" in reasons["unequal"]
    assert "size 1" in reasons["point"]
    assert "groups" in reasons["grouped"]
    assert "causal" in reasons["causal"]
    assert reasons["recurrent"] == "there is no 'cp' of a `LSTM`"
    assert reasons["head"] == "there is no 'cp' of a `Dense`"
    plan = slim.plan_factorization(model, 0.1, of="params", scheme="tensor_train")
    assert {each.path for each in plan.layers} <= {"head", "hidden"}
    assert {each.path: each.reason for each in plan.whole}["conv"] == "there is no 'tensor_train' of a `Conv2D`"


def test_they_are_not_taken_unless_asked_for():
    model = network()
    for options in ({"ratio": 0.4, "of": "params"}, {"ratio": 0.3}, {"ranks": "energy"}):
        assert {each.scheme for each in slim.plan_factorization(model, **options).layers} <= set(SCHEMES)


@pytest.mark.parametrize("scheme", ["auto", *SCHEMES, "tensor_train", "cp"])
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_degenerate_kernels(scheme, value):
    keras.utils.set_random_seed(0)
    stack = [layers.Conv2D(8, 3, name="conv"), layers.Flatten(), layers.Dense(16, name="head")]
    model = keras.Sequential([keras.Input((6, 6, 8)), *stack])
    for name in ("conv", "head"):
        kernel = model.get_layer(name).kernel
        kernel.assign(np.full(kernel.shape, value))
    x = rng.normal(size=(20, 6, 6, 8)).astype("float32")
    if np.isnan(value):
        plan = slim.plan_factorization(model, ranks=2, scheme=scheme)
        assert not plan.layers
        reasons = [each.reason for each in plan.whole]
        assert "its kernel is not finite" in reasons
        assert len(reasons) == 2
        return
    for data in (None, x):
        plan = slim.plan_factorization(model, ranks=1, scheme=scheme, data=data)
        assert plan.layers
        assert all(each.lost < 1e-6 for each in plan.layers)
        small = slim.factorize(model, plan, data)
        np.testing.assert_allclose(small(x), model(x), rtol=1e-3, atol=1e-3)
