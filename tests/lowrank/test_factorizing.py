"""A model of products answers as one whose kernels are these products; exactly as the model at full rank."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.errors import PlanMismatchError, UnreachableTargetError
from keras_slim.factorization import SCHEMES
from keras_slim.lowrank import FactorizationPlan, LayerFactors, Size, seen

rng = np.random.default_rng(0)
CONVOLUTIONS = {
    "1d": (layers.Conv1D, (9, 6), {"kernel_size": 3}),
    "1d-causal": (layers.Conv1D, (9, 6), {"kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
    "2d": (layers.Conv2D, (7, 8, 6), {"kernel_size": (3, 2)}),
    "2d-same": (layers.Conv2D, (7, 8, 6), {"kernel_size": 3, "padding": "same", "strides": 2}),
    "2d-dilated": (layers.Conv2D, (7, 8, 6), {"kernel_size": 3, "padding": "same", "dilation_rate": (2, 1)}),
    "3d": (layers.Conv3D, (5, 4, 6, 3), {"kernel_size": (3, 1, 2), "strides": (2, 1, 1)}),
}


def of_one_layer(layer, shape, dtype="float64"):
    """A model of one layer, with a bias that is not zero."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input(shape, dtype=dtype), layer], name="net")
    if layer.use_bias:
        layer.bias.assign(rng.normal(size=layer.bias.shape))
    return model


def plan_of(model, scheme, ranks, name="net"):
    """A plan for one layer, made by hand."""
    layer = model.get_layer(name)
    kernel = layer.embeddings if hasattr(layer, "embeddings") else getattr(layer, "cell", layer).kernel
    shape = tuple(kernel.shape)
    return FactorizationPlan((LayerFactors(name, scheme, shape, tuple(ranks), 0.0),), (), Size(0, 0), Size(0, 0))


def convolution(kind, **more):
    layer_type, shape, options = CONVOLUTIONS[kind]
    return of_one_layer(layer_type(5, **options, activation="tanh", name="net", dtype="float64", **more), shape), shape


CASES = [
    pytest.param(kind, name, id=f"{kind}-{name}")
    for kind, (_, shape, _) in CONVOLUTIONS.items()
    for name, scheme in SCHEMES.items()
    if scheme.fits(len(shape) - 1)
]


@pytest.mark.parametrize(("kind", "scheme"), CASES)
@pytest.mark.parametrize("known", [False, True])
def test_full_rank_is_exact(kind, scheme, known):
    model, shape = convolution(kind)
    x = rng.normal(size=(30, *shape))
    plan = plan_of(model, scheme, SCHEMES[scheme].full(model.layers[0].kernel.shape))
    small = slim.factorize(model, plan, x if known else None, samples=30)
    np.testing.assert_allclose(small(x), model(x), atol=1e-6 if known else 1e-10)
    assert len(small.layers) == len(SCHEMES[scheme].shapes(model.layers[0].kernel.shape, plan.layers[0].ranks))
    assert small.layers[-1].name == "net"


@pytest.mark.parametrize(("kind", "scheme"), CASES)
def test_it_answers_as_the_model_with_truncated_kernels(kind, scheme):
    model, shape = convolution(kind, use_bias=False)
    x = rng.normal(size=(4, *shape))
    kernel = np.array(model.layers[0].kernel)
    ranks = [max(1, rank // 2) for rank in SCHEMES[scheme].full(kernel.shape)]
    small = slim.factorize(model, plan_of(model, scheme, ranks))
    answers = np.array(small(x))
    model.layers[0].kernel.assign(SCHEMES[scheme].fit(kernel, ranks).product())
    np.testing.assert_allclose(answers, model(x), atol=1e-10)


@pytest.mark.channels_first
@pytest.mark.parametrize("scheme", SCHEMES)
def test_channels_first(scheme):
    layer = layers.Conv2D(5, 3, padding="same", strides=2, data_format="channels_first", name="net", dtype="float32")
    model = of_one_layer(layer, (6, 9, 8), "float32")
    x = rng.normal(size=(300, 6, 9, 8)).astype("float32")
    plan = plan_of(model, scheme, SCHEMES[scheme].full(layer.kernel.shape))
    for data in (None, x):
        np.testing.assert_allclose(slim.factorize(model, plan, data)(x[:8]), model(x[:8]), atol=1e-4)


@pytest.mark.parametrize("shape", [(12,), (5, 12)])
@pytest.mark.parametrize("known", [False, True])
def test_a_dense_layer_on_any_rank(shape, known):
    model = of_one_layer(layers.Dense(9, "relu", name="net", dtype="float64"), shape)
    x = rng.normal(size=(30, *shape))
    small = slim.factorize(model, plan_of(model, "channel", (9,)), x if known else None)
    np.testing.assert_allclose(small(x), model(x), atol=1e-6 if known else 1e-10)


def test_the_response_on_the_data_loses_the_tail_of_its_singular_values():
    model = of_one_layer(layers.Dense(9, name="net", dtype="float64"), (12,))
    x = rng.normal(size=(200, 12)) * np.geomspace(5, 0.1, 12) + 3
    small = slim.factorize(model, plan_of(model, "channel", (3,)), x)
    response = np.array(model(x))
    values = np.linalg.svd(response - response.mean(axis=0), compute_uv=False)
    missed = np.linalg.norm(np.array(small(x)) - response)
    assert missed == pytest.approx(np.sqrt((values[3:] ** 2).sum()), rel=1e-3)
    np.testing.assert_allclose(np.mean(small(x), axis=0), response.mean(axis=0), atol=1e-6)


def network(width=12):
    keras.utils.set_random_seed(2)
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(width, 3, padding="same", activation="relu", name="stem")(inputs)
    y = layers.Conv2D(width, 3, padding="same", use_bias=False, name="a")(x)
    y = layers.ReLU()(layers.BatchNormalization(name="norm")(y))
    y = layers.Conv2D(width, 3, padding="same", activation="relu", name="b")(y)
    x = layers.Add()([x, y])
    x = layers.DepthwiseConv2D(3, strides=2, name="depthwise")(x)
    x = layers.Conv2D(2 * width, 1, activation="relu", name="wide")(x)
    x = layers.Conv2D(2 * width, 3, groups=2, name="grouped")(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="head")(x), name="network")


@pytest.fixture(scope="module")
def net():
    return network()


@pytest.fixture(scope="module")
def images():
    x = rng.normal(size=(96, 12, 12, 3)).astype("float32")
    return np.cumsum(x, axis=1) / 3


@pytest.mark.parametrize("of", ["params", "macs"])
@pytest.mark.parametrize("scheme", ["auto", *SCHEMES])
def test_a_share_of_the_whole_is_saved_and_the_counts_are_those_of_the_profile(net, images, of, scheme):
    plan = slim.plan_factorization(net, 0.3, of=of, scheme=scheme, data=images[:32])
    assert getattr(plan.after, of) <= 0.7 * getattr(plan.before, of)
    small = slim.factorize(net, plan)
    cost = slim.profile(small)
    assert (cost.parameters, cost.macs) == (plan.after.params, plan.after.macs)
    assert slim.profile(net).macs == plan.before.macs
    assert FactorizationPlan.from_json(plan.to_json()) == plan
    reasons = {each.path: each.reason for each in plan.whole}
    assert "each channel" in reasons["depthwise"]
    assert "groups" in reasons["grouped"]
    assert {each.path for each in plan.layers} | set(reasons) == {
        *("stem", "a", "b", "depthwise", "wide", "grouped", "head")
    }
    for each in plan.layers:
        assert each.path in plan.describe()


def error(model, small, x):
    return np.linalg.norm(np.array(small(x)) - np.array(model(x)))


def test_a_look_at_data_keeps_more(net, images):
    found = {}
    for name, data in {"plain": None, "fitted": images[:64]}.items():
        small = slim.factorize(net, ratio=0.5, data=data)
        found[name] = error(net, small, images[64:])
    assert found["fitted"] < 0.9 * found["plain"]


def test_one_ranking_of_all_layers_loses_less_than_equal_ranks(net, images):
    equal = slim.plan_factorization(net, ranks=4, scheme="channel", data=images[:32])
    ratio = 1 - equal.after.macs / equal.before.macs
    ranking = slim.plan_factorization(net, ratio, scheme="channel", data=images[:32])
    assert ranking.after.macs <= equal.after.macs
    energies = [np.log([1 - each.lost for each in plan.layers]).sum() for plan in (equal, ranking)]
    assert energies[1] > energies[0]
    assert len({each.ranks for each in ranking.layers}) > 1


def test_ranks_by_layer_by_energy_and_by_noise(net, images):
    plan = slim.plan_factorization(net, ranks={"a": 3, "b": (2, 4)}, scheme={"a": "spatial", "b": "tucker"})
    assert [(each.path, each.scheme, each.ranks) for each in plan.layers] == [
        ("a", "spatial", (3,)),
        ("b", "tucker", (2, 4)),
    ]
    reasons = {each.path: each.reason for each in plan.whole}
    assert reasons["stem"] == "no ranks are given for it"
    lossy = slim.plan_factorization(net, ranks=slim.lowrank.Energy(0.6), data=images[:32])
    assert lossy.layers
    assert all(each.lost <= 0.4 + 1e-6 for each in lossy.layers)
    fresh = slim.plan_factorization(net, ranks="evbmf", scheme="tucker")
    assert not [each for each in fresh.layers if each.path in ("a", "b")], "noise has no rank"
    trained = network()
    kernel = np.einsum("si,abij,jt->abst", *(rng.normal(size=size) for size in ((12, 3), (3, 3, 3, 4), (4, 12))))
    trained.get_layer("a").kernel.assign(kernel + 0.2 * rng.normal(size=kernel.shape))
    (found,) = (
        each for each in slim.plan_factorization(trained, ranks="evbmf", scheme="tucker").layers if each.path == "a"
    )
    assert found.ranks == (3, 4)
    (weak,) = slim.plan_factorization(trained, ranks={"a": slim.lowrank.EVBMF(weaken=0.25)}, scheme="tucker").layers
    assert weak.ranks == (5, 6), "3 + (12 - 3) / 4 and 4 + (12 - 4) / 4, rounded"


def test_what_is_shared_nested_or_frozen_stays_so(images):
    inputs = keras.Input((12, 12, 3))
    inner = keras.Sequential(
        [keras.Input((12, 12, 3)), layers.Conv2D(16, 3, padding="same", name="conv")], name="inner"
    )
    shared = layers.Conv2D(16, 3, padding="same", name="shared", trainable=False)
    x = shared(shared(layers.Conv2D(16, 1, name="wide")(inner(inputs))))
    model = keras.Model(inputs, x)
    plan = slim.plan_factorization(model, 0.5, data=images[:16])
    small = slim.factorize(model, plan, images[:16])
    assert slim.profile(small).macs == plan.after.macs
    assert {"inner/conv", "shared"} & {each.path for each in plan.layers}
    assert not any(layer.trainable for layer in small.layers if layer.name.startswith("shared"))
    assert all(layer.trainable for layer in small.layers if layer.name.startswith("wide"))


def test_the_rest_is_untouched_and_the_model_too(net, images, tmp_path):
    before = [np.array(weight) for weight in net.weights]
    small = slim.factorize(net, ranks={"a": 3, "b": 3}, scheme="channel", data=images[:32])
    for old, weight in zip(before, net.weights, strict=True):
        np.testing.assert_array_equal(old, weight)
    for name in ("stem", "depthwise", "wide", "grouped", "head"):
        for old, new in zip(net.get_layer(name).weights, small.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(old, new)
    small.save(tmp_path / "small.keras")
    np.testing.assert_allclose(keras.saving.load_model(tmp_path / "small.keras")(images), small(images), atol=1e-6)
    assert slim.factorize(net, ranks=None, ratio=0.01).count_params() < net.count_params()


@pytest.mark.parametrize("kernel", [np.zeros((3, 3, 12, 12)), np.ones((3, 3, 12, 12))])
def test_degenerate_kernels(kernel, images):
    model = network()
    model.get_layer("b").kernel.assign(kernel)
    small = slim.factorize(model, ratio=0.4, data=images[:32])
    assert np.isfinite(np.array(small(images))).all()


def test_what_cannot_be(net, images):
    broken = network()
    broken.get_layer("a").kernel.assign(np.full((3, 3, 12, 12), np.nan))
    reasons = {each.path: each.reason for each in slim.plan_factorization(broken, 0.2).whole}
    assert "not finite" in reasons["a"]
    with pytest.raises(ValueError, match="not finite"):
        slim.plan_factorization(net, 0.3, data=np.full((8, 12, 12, 3), np.nan, "float32"))
    with pytest.raises(UnreachableTargetError, match="at most 0"):
        slim.plan_factorization(net, 0.99)
    whole = keras.Sequential([keras.Input((4, 4, 1)), layers.DepthwiseConv2D(3, name="each")])
    with pytest.raises(UnreachableTargetError, match=r"why: `plan_factorization\(model, ranks=1\)"):
        slim.plan_factorization(whole, 0.01)
    assert "by itself" in slim.plan_factorization(whole, ranks=1).describe()
    with pytest.raises(ValueError, match="either `ratio` or `ranks`"):
        slim.plan_factorization(net)
    with pytest.raises(ValueError, match="'auto', 'channel'"):
        slim.plan_factorization(net, 0.3, scheme="tuckr")
    with pytest.raises(ValueError, match="Did you mean 'evbmf'"):
        slim.plan_factorization(net, ranks="evmbf")
    with pytest.raises(ValueError, match="stem"):
        slim.plan_factorization(net, ranks={"stemm": 3})
    with pytest.raises(PlanMismatchError, match="'a', "):
        slim.factorize(network(8), slim.plan_factorization(net, ranks={"a": 3}, scheme="channel"))
    with pytest.raises(TypeError, match="options"):
        slim.factorize(net, slim.plan_factorization(net, 0.3), ratio=0.3)


@pytest.mark.parametrize("layer_type", [layers.LSTM, layers.GRU, layers.SimpleRNN])
@pytest.mark.parametrize("known", [False, True])
def test_the_inputs_of_a_recurrent_layer(layer_type, known):
    keras.utils.set_random_seed(1)
    recurrent = layer_type(6, return_sequences=True, name="net", dtype="float64")
    model = keras.Sequential([keras.Input((5, 20), dtype="float64"), recurrent])
    x = rng.normal(size=(40, 5, 20))
    full = slim.factorize(model, plan_of(model, "channel", SCHEMES["channel"].full(recurrent.cell.kernel.shape)), x)
    np.testing.assert_allclose(full(x), model(x), atol=1e-6)
    plan = slim.plan_factorization(model, ranks=2, data=x if known else None)
    small = slim.factorize(model, plan)
    assert [type(layer) for layer in small.layers] == [layers.Dense, layer_type]
    assert slim.profile(small).macs == plan.after.macs < plan.before.macs
    recurrent.cell.kernel.assign(np.array(small.layers[0].kernel) @ np.array(small.layers[1].cell.kernel))
    np.testing.assert_allclose(small(x), model(x), atol=1e-10)


def test_a_table_has_shorter_rows_and_still_masks():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((7,), dtype="int32")
    x = layers.Embedding(50, 24, mask_zero=True, name="table")(inputs)
    model = keras.Model(inputs, layers.Dense(3, name="head")(layers.GlobalAveragePooling1D()(x)))
    x = rng.integers(0, 50, (30, 7))
    full = slim.factorize(model, plan_of(model, "channel", (24,), "table"), x)
    np.testing.assert_allclose(full(x), model(x), atol=1e-5)
    plan = slim.plan_factorization(model, 0.5, of="params", data=x)
    assert [each.path for each in plan.layers] == ["table"]
    small = slim.factorize(model, plan, x)
    assert slim.profile(small).parameters == plan.after.params <= 0.5 * plan.before.params
    assert slim.profile(small).macs == plan.after.macs
    assert small.get_layer("table").units == 24


def test_of_all_schemes_the_one_that_keeps_most_for_what_it_saves(net, images):
    found = {
        scheme: slim.plan_factorization(net, ranks={"b": 4}, scheme=scheme, data=images[:32]) for scheme in SCHEMES
    }
    saved = {name: plan.before.macs - plan.after.macs for name, plan in found.items()}
    lost = {name: -np.log(1 - plan.layers[0].lost) for name, plan in found.items()}
    best = min(SCHEMES, key=lambda name: lost[name] / saved[name])
    assert slim.plan_factorization(net, ranks={"b": 4}, data=images[:32]).layers == found[best].layers
    assert best != min(SCHEMES, key=lambda name: -saved[name])


def normalized_network():
    """A network of convolutions whose outputs batch normalization scales up and down, and shifts; and inputs."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(3)
    inputs = x = keras.Input((6, 6, 4), dtype="float64")
    for number, filters in enumerate((9, 8)):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, dtype="float64", name=f"conv_{number}")(x)
        x = layers.ReLU(dtype="float64")(layers.BatchNormalization(dtype="float64", name=f"norm_{number}")(x))
    x = layers.BatchNormalization(dtype="float64")(layers.Dense(7, use_bias=False, dtype="float64", name="dense")(x))
    model = keras.Model(inputs, x)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.gamma.shape
            values = (
                rng.normal(size=size),
                rng.normal(size=size),
                rng.normal(size=size),
                rng.lognormal(sigma=2, size=size),
            )
            layer.set_weights(values)
    return model, 2 + rng.normal(size=(64, 6, 6, 4))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_counts_is_what_batch_normalization_hands_on(scheme):
    """Fitted to data, factors of a normalized layer are those of the layer into which the normalization is folded."""
    model, x = normalized_network()
    folded = slim.fold_batch_normalization(model)
    plans = [slim.plan_factorization(each, 0.5, scheme=scheme, data=x, verbose=0) for each in (model, folded)]
    assert plans[0].layers
    assert [each.ranks for each in plans[0].layers] == [each.ranks for each in plans[1].layers]
    small, peer = (slim.factorize(each, plan, x, verbose=0) for each, plan in zip((model, folded), plans, strict=True))
    want = peer.predict(x, verbose=0)
    np.testing.assert_allclose(small.predict(x, verbose=0), want, atol=1e-6 * np.abs(want).max())
    assert error(model, small, x) < error(model, slim.factorize(model, plans[0], verbose=0), x)


def test_means_that_products_lose_are_mended_in_the_normalization():
    model, x = normalized_network()
    small = slim.factorize(model, ranks={"conv_0": (3,)}, scheme="channel", data=x, verbose=0)
    before, after = (
        keras.Model(net.inputs, net.get_layer("norm_0").output).predict(x, verbose=0) for net in (model, small)
    )
    np.testing.assert_allclose(after.mean((0, 1, 2)), before.mean((0, 1, 2)), atol=1e-6)
    assert np.abs(after - before).max() > 1e-2


def test_a_normalization_that_others_read_too_or_that_hands_nothing_on():
    inputs = keras.Input((8,))
    value = layers.Dense(12, use_bias=False, name="shared")(inputs)
    normalized = layers.BatchNormalization(name="norm")(value)
    x = 1 + rng.normal(size=(40, 8))
    model = keras.Model(inputs, [normalized, value])
    small = slim.factorize(model, ranks={"shared": 3}, data=x, verbose=0)
    answer, read = small.predict(x, verbose=0)
    np.testing.assert_allclose(answer, model.get_layer("norm")(read), atol=1e-5)
    model = keras.Model(inputs, normalized)
    model.get_layer("norm").gamma.assign(np.zeros(12))
    small = slim.factorize(model, ranks={"shared": 3}, data=x, verbose=0)
    assert np.isfinite(small.get_layer("shared").kernel).all()


def test_training_begins_where_the_products_stand():
    """Batch statistics of what data is fitted to are those that the products are left with."""
    model, x = normalized_network()
    small = slim.factorize(model, ratio=0.5, data=x, samples=64, verbose=0)
    want = small.predict(x, verbose=0)
    np.testing.assert_allclose(small(x, training=True), want, atol=2e-2 * want.std())
    plain = slim.factorize(model, ratio=0.5, verbose=0)
    assert np.abs(plain(x, training=True) - plain.predict(x, verbose=0)).std() > 0.2 * want.std()


def test_what_hardly_occurs_in_little_data_is_not_made_much_of(monkeypatch):
    keras.utils.set_random_seed(5)
    kinds = [layers.Dense(80, "relu", name="a"), layers.Dense(80, "relu", name="b"), layers.Dense(20)]
    model = keras.Sequential([keras.Input((10,)), *kinds])
    x = np.random.default_rng(5).normal(size=(2100, 10))
    few, fresh = x[:100], x[100:]
    made = slim.factorize(model, ranks={"a": 4, "b": 15}, data=few, verbose=0)
    monkeypatch.setattr(seen, "RIDGES", (0.0,))
    bold = slim.factorize(model, ranks={"a": 4, "b": 15}, data=few, verbose=0)
    assert error(model, bold, few) < error(model, made, few)
    assert error(model, made, fresh) < 0.9 * error(model, bold, fresh)
