import keras
import numpy as np
import pytest
from keras import layers

from keras_slim.graph import analyse
from keras_slim.pruning.surgery import rebuild


def groups_of(model):
    return {group.name: (group.layers, group.size) for group in analyse(model).groups}


def reasons_of(model):
    return {name: whole.reasons for whole in analyse(model).whole for name in whole.layers}


def keep_of(graph, **kept):
    """Returns which units stay, given how many of some groups, by name."""
    kept = {name.replace("__", ":"): count for name, count in kept.items()}
    return np.concatenate([np.arange(group.size) < kept.get(group.name, group.size) for group in graph.groups])


def with_attention(layer, width=8, **options):
    inputs = keras.Input((6, 3))
    x = layers.Dense(width, name="before")(inputs)
    return keras.Model(inputs, layers.Dense(2, name="head")(layer(x, x, **options)))


def test_heads_widths_and_outputs_are_groups_of_their_own():
    model = with_attention(layers.MultiHeadAttention(3, 4, value_dim=5, name="mha"))
    assert groups_of(model) == {
        "before": (("before",), 8),
        "mha:heads": (("mha:heads",), 3),
        "mha:key": (("mha:key",), 4),
        "mha:value": (("mha:value",), 5),
        "mha": (("mha",), 8),
    }
    graph = analyse(model)
    small = rebuild(graph, keep_of(graph, before=7, mha__heads=2, mha__key=1, mha__value=3, mha=6))[0]
    config = small.get_layer("mha").get_config()
    assert [config[name] for name in ("num_heads", "key_dim", "value_dim", "output_shape")] == [2, 1, 3, (6,)]
    shapes = [tuple(weight.shape) for weight in small.get_layer("mha").weights]
    assert shapes == [(7, 2, 1), (2, 1), (7, 2, 1), (2, 1), (7, 2, 3), (2, 3), (2, 3, 6), (6,)]


def test_the_query_makes_up_for_the_root_of_the_keys_width():
    model = with_attention(layers.MultiHeadAttention(2, 4, bias_initializer="random_normal", name="mha"))
    graph = analyse(model)
    small = rebuild(graph, keep_of(graph, mha__key=1))[0]
    old, new = (each.get_layer("mha") for each in (model, small))
    for one, two in zip(old.query_dense.weights, new.query_dense.weights, strict=True):
        np.testing.assert_allclose(two, one.numpy()[..., :1] / 2, rtol=1e-6)  # (1 / 4) ** 0.5
    for one, two in zip(old.key_dense.weights, new.key_dense.weights, strict=True):
        np.testing.assert_array_equal(two, one.numpy()[..., :1])


def test_a_residual_stream_through_attention_is_one_group():
    inputs = keras.Input((6, 3))
    x = layers.Dense(8, name="before")(inputs)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4, name="mha")(x, x)])
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert groups_of(model)["before"] == (("before", "mha"), 8)


@pytest.mark.parametrize(("shape", "is_whole"), [((6, 6), False), ((1, 6, 6), False), ((3, 6, 6), True)])
def test_heads_with_masks_of_their_own_stay(shape, is_whole):
    inputs, mask = keras.Input((6, 3)), keras.Input(shape, dtype="bool")
    x = layers.MultiHeadAttention(3, 4, name="mha")(inputs, inputs, attention_mask=mask)
    graph = analyse(keras.Model([inputs, mask], layers.Dense(2)(x)))
    assert ("mha:heads" not in {group.name for group in graph.groups}) == is_whole


def test_heads_whose_scores_are_an_output_stay():
    inputs = keras.Input((6, 3))
    x, scores = layers.MultiHeadAttention(3, 4, name="mha")(inputs, inputs, return_attention_scores=True)
    model = keras.Model(inputs, [layers.Dense(2)(x), scores])
    assert reasons_of(model)["mha:heads"] == ("its units are a model output",)
    assert set(groups_of(model)) == {"mha:key", "mha:value", "mha"}


def test_query_heads_go_with_the_head_they_share():
    model = with_attention(layers.GroupQueryAttention(4, num_query_heads=6, num_key_value_heads=3, name="gqa"))
    assert groups_of(model) == {
        "before": (("before", "gqa"), 8),
        "gqa:heads": (("gqa:heads",), 3),
        "gqa:head": (("gqa:head",), 4),
    }
    graph = analyse(model)
    layer = rebuild(graph, keep_of(graph, gqa__heads=2, gqa__head=3))[0].get_layer("gqa")
    assert (layer.num_query_heads, layer.num_key_value_heads, layer.head_dim) == (4, 2, 3)


def without_projections(layer, **options):
    inputs = keras.Input((6, 3))
    query, value, key = (layers.Dense(5, name=name)(inputs) for name in ("query", "value", "key"))
    return keras.Model(inputs, layers.Dense(2, name="head")(layer([query, value, key], **options)))


def test_values_go_through_an_attention_without_weights_and_queries_and_keys_are_tied():
    model = without_projections(layers.Attention(name="attention"))
    assert groups_of(model) == {"query": (("query", "key"), 5), "value": (("value",), 5)}
    model = without_projections(layers.Attention(score_mode="concat", name="attention"))
    assert groups_of(model) == {"value": (("value",), 5)}
    assert "no weight could silence a unit (attention)" in reasons_of(model)["query"][0]
    assert reasons_of(model)["key"] == reasons_of(model)["query"]


def test_the_scale_of_additive_attention_reads_query_and_key():
    model = without_projections(layers.AdditiveAttention())
    assert groups_of(model) == {"query": (("query", "key"), 5), "value": (("value",), 5)}
    assert set(groups_of(without_projections(layers.AdditiveAttention(use_scale=False)))) == {"value"}


def test_a_product_of_tensors_hands_on_what_it_does_not_sum_over_and_ties_the_rest():
    inputs = keras.Input((6, 3))
    a, b = layers.Dense(4, name="a")(inputs), layers.Dense(5, name="b")(inputs)
    product = layers.Dot(axes=(1, 1))([a, b])
    model = keras.Model(inputs, layers.EinsumDense("abc,bcd->ad", 2)(product))
    assert groups_of(model) == {"a": (("a",), 4), "b": (("b",), 5)}
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Dot(axes=-1)([a, a]))))
    assert groups_of(model) == {"a": (("a",), 4)}
