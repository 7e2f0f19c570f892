"""Products that sum over units: these are tied, and cut together in all that is multiplied."""

import keras
import numpy as np
import pytest
from following import sizes, whole
from keras import layers, ops
from laws import check_law

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.pruning.surgery import rebuild
from keras_slim.scoring.leave_one_out import loss_rises


def model_of(function):
    """Returns a model whose outputs are read off a product of `x` and `y`, `(batch, 5, 6)` each."""
    inputs = keras.Input((5, 4))
    x, y = (layers.Dense(6, name=name)(inputs) for name in "xy")
    return keras.Model(inputs, layers.Dense(2, name="head")(function(x, y)))


TABLE = np.random.default_rng(2).normal(size=(6, 3)).astype("float32")
PRODUCTS = {
    "matmul": lambda x, y: x @ ops.swapaxes(y, 1, 2),
    "einsum": lambda x, y: ops.einsum("btc,bsc->bts", x, y),
    "einsum of three": lambda x, y: ops.einsum("btc,bsc,c->bts", x, y, np.ones(6, "float32")),
    "einsum to a number for each": lambda x, y: ops.einsum("btc,btc->b", x, y)[:, None],
    "dots": lambda x, y: ops.einsum("...c,...c->...", x, y)[:, :, None],
    "Dot": lambda x, y: layers.Dot(-1)([x, y]),
    "Dot normalized": lambda x, y: layers.Dot((2, 2), normalize=True)([x, y]),
    "Dot elsewhere": lambda x, y: layers.Dot((1, 2))([ops.swapaxes(x, 1, 2), y]),
}


@pytest.mark.parametrize("function", PRODUCTS.values(), ids=PRODUCTS)
def test_units_that_are_summed_over_go_together(function):
    model = model_of(function)
    assert sizes(model) == {"x": 6}
    check_law(model)


CONSTANTS = {
    "matmul": lambda x, y: x @ TABLE,
    "matmul from the left": lambda x, y: ops.matmul(TABLE.T, ops.swapaxes(x, 1, 2)),
    "einsum": lambda x, y: ops.einsum("btc,cd->btd", x, TABLE),
    "einsum from the left": lambda x, y: ops.einsum("cd,btc->btd", TABLE, x),
    "dot": lambda x, y: ops.dot(x, TABLE),
    "inner": lambda x, y: ops.inner(x, TABLE.T),
    "a vector": lambda x, y: ops.matmul(x, TABLE[:, 0])[:, :, None],
    "a vector from the left": lambda x, y: ops.matmul(TABLE[:, 0], ops.swapaxes(x, 1, 2))[:, :, None],
}


@pytest.mark.parametrize("function", CONSTANTS.values(), ids=CONSTANTS)
def test_a_constant_that_units_are_multiplied_with_is_cut_with_them(function):
    model = model_of(function)
    assert sizes(model)["x"] == 6
    check_law(model)


def test_a_tensor_may_be_multiplied_with_itself():
    model = model_of(lambda x, y: layers.Dot(-1)([x, x]) + ops.einsum("btc,bsc->bts", y, y))
    assert sizes(model) == {"x": 6, "y": 6}
    check_law(model)


def test_units_that_meet_positions_or_another_size_stay_whole():
    assert "a product sums over them" in whole(model_of(lambda x, y: x @ ops.pad(y, ((0, 0), (0, 1), (0, 0)))))["x"]
    assert "a product sums over them" in whole(model_of(lambda x, y: ops.einsum("btc,c->bt", x, TABLE[:1, 0])))["x"]


def two_towers():
    """Similarity of two towers, as in retrieval."""
    inputs = keras.Input((8,))
    towers = [
        layers.Dense(10, "tanh", name=f"{name}_end")(layers.Dense(12, "relu", name=name)(inputs)) for name in "ab"
    ]
    return keras.Model(inputs, layers.Dense(1)(layers.Dot(1, normalize=True)(towers)))


def test_two_towers_are_cut_alike_where_they_meet():
    model = two_towers()
    assert sizes(model) == {"a": 12, "a_end": 10, "b": 12}
    check_law(model)
    small = slim.prune(model, 0.5, guards=slim.pruning.Guards(min_units=1, max_ratio=0.9, align=1))
    assert small.get_layer("a_end").units == small.get_layer("b_end").units < 10


def attention():
    """Attention written out; heads are divided by a reshape."""
    inputs = keras.Input((6, 5))
    query, key, value = (
        ops.transpose(layers.Reshape((6, 3, 8))(layers.Dense(24, name=name)(inputs)), (0, 2, 1, 3))
        for name in ("query", "key", "value")
    )
    scores = ops.softmax(ops.einsum("bhtd,bhsd->bhts", query, key) / np.float32(np.sqrt(8)), axis=-1)
    x = ops.reshape(ops.transpose(ops.matmul(scores, value), (0, 2, 1, 3)), (-1, 6, 24))
    return keras.Model(inputs, layers.Dense(3)(x))


def test_queries_and_keys_are_tied():
    model = attention()
    assert sizes(model) == {"query": 8, "value": 8}
    check_law(model)


def luong(is_causal=False, **options):
    """Attention of one sequence to another one, whose states are its keys and values."""
    inputs = keras.Input((5, 4))
    query, state = layers.LSTM(6, return_sequences=True, name="query")(inputs), layers.Dense(6, name="state")(inputs)
    x = layers.Attention(**options)([query, state], use_causal_mask=is_causal)
    return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()([query, x])))


def heads(query=4, others=4, **options):
    """Attention of several heads by the operation of `keras.ops`."""
    inputs = keras.Input((5, 4))
    counts = {"query": query, "key": others, "value": others}
    tensors = [layers.EinsumDense("btc,chd->bthd", (5, count, 6), name=name)(inputs) for name, count in counts.items()]
    x = layers.EinsumDense("bthd,hdc->btc", (5, 3))(ops.dot_product_attention(*tensors, **options))
    return keras.Model(inputs, layers.Dense(2)(x))


BUILDERS = [two_towers, attention, luong, lambda: heads(scale=0.3), lambda: model_of(CONSTANTS["einsum from the left"])]


@pytest.mark.parametrize("build", BUILDERS)
def test_a_masked_and_a_shrunken_model_made_with_data_answer_alike_and_can_be_saved(build, tmp_path):
    model = build()
    x = np.random.default_rng(0).normal(size=(16, *model.inputs[0].shape[1:])).astype("float32")
    plan = slim.plan_pruning(model, 0.5, guards=slim.pruning.Guards(min_units=1, max_ratio=0.9, align=1))
    masked, small = (make(model, plan, x, verbose=0) for make in (slim.mask, slim.shrink))
    np.testing.assert_allclose(masked(x), small(x), atol=1e-5)
    for each in (masked, small):
        each.save(tmp_path / "model.keras")
        np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x), each(x))


@pytest.mark.parametrize("build", [two_towers, luong])
def test_the_rise_of_the_loss_without_a_unit_is_that_of_the_shrunken_model(build):
    model = build()
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(4, *model.inputs[0].shape[1:])).astype("float32")
    y = np.ones(model(x).shape, "float32")
    graph = analyse(model)
    units = range(0, graph.num_units, 5)
    rises = loss_rises(graph, units, lambda: iter([(x, y, None)]))
    before = np.mean((model(x) - y) ** 2)
    for unit, rise in zip(units, rises, strict=True):
        small = rebuild(graph, np.arange(graph.num_units) != unit)[0]
        np.testing.assert_allclose(rise, np.mean((small(x) - y) ** 2) - before, atol=1e-6)


def test_a_block_with_a_product_may_be_called_on_units_and_on_none():
    def block():
        first, second = keras.Input((6,)), keras.Input((6,))
        return keras.Model([first, second], ops.einsum("bc,bc->b", first, second)[:, None])

    inputs, other = keras.Input((4,)), keras.Input((6,))
    a, b = (layers.Dense(6, name=name)(inputs) for name in "ab")
    for order in ([(a, b), (a, other)], [(a, other), (a, b)]):
        shared = block()
        outputs = ops.concatenate([shared(pair) for pair in order], axis=-1)
        assert sizes(keras.Model([inputs, other], layers.Dense(2)(outputs))) == {}


@pytest.mark.parametrize("options", [{}, {"use_scale": True}, {"is_causal": True}])
def test_queries_and_keys_of_an_attention_layer_are_tied(options):
    model = luong(**options)
    assert sizes(model) == {"query": 6}
    check_law(model)


def test_an_attention_layer_on_units_and_on_none_keeps_them_whole():
    inputs, other = keras.Input((5, 4)), keras.Input((5, 6))
    a, b = (layers.Dense(6, name=name)(inputs) for name in "ab")
    for pairs in ([(a, b), (other, other)], [(other, other), (a, b)]):
        attention = layers.Attention()
        x = ops.concatenate([attention(list(pair)) for pair in pairs], axis=-1)
        assert sizes(keras.Model([inputs, other], layers.Dense(2)(x))) == {}


def test_heads_of_an_attention_operation_go_together_and_its_width_where_a_scale_is_given():
    model = heads()
    assert {"query:h", "query:d"} & set(sizes(model)) == {"query:h"}
    assert "scaled by the width" in whole(model)["query:d"]
    check_law(model)
    model = heads(scale=0.3)
    group = {"query:h", "query:d", "key:h", "key:d", "value:h", "value:d"} & set(sizes(model))
    assert group == {"query:h", "query:d"}
    check_law(model)


def test_heads_that_share_a_key_stay_whole():
    assert "share a key" in whole(heads(4, 2))["query:h"]
