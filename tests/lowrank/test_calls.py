"""Layers that become products where they are called with more than a value, or hold more than a kernel."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.errors import SlimWarning
from keras_slim.lowrank import FactorizationPlan, LayerFactors, Size, seen

rng = np.random.default_rng(0)
x = rng.normal(size=(8, 5, 20)).astype("float32")


def planned(*entries):
    """A plan made by hand, of layers at full rank."""
    return FactorizationPlan(tuple(LayerFactors(*each, 0.0) for each in entries), (), Size(0, 0), Size(0, 0))


def with_states():
    sequence, hidden, carry = keras.Input((5, 20)), keras.Input((6,)), keras.Input((6,))
    outputs = layers.LSTM(6, return_state=True, name="net")(sequence, initial_state=[hidden, carry])
    states = [rng.normal(size=(8, 6)).astype("float32") for _ in range(2)]
    return keras.Model([sequence, hidden, carry], outputs), [x, *states]


def with_a_mask():
    sequence, mask = keras.Input((5, 20)), keras.Input((5,), dtype="bool")
    return keras.Model([sequence, mask], layers.LSTM(6, name="net")(sequence, mask=mask)), [x, rng.random((8, 5)) > 0.3]


def behind_a_masking():
    sequence = keras.Input((5, 20))
    masked = np.where(np.arange(5)[:, None] < 3, x, 0)
    return keras.Model(sequence, layers.LSTM(6, name="net")(layers.Masking()(sequence))), masked


@pytest.mark.parametrize("build", [with_states, with_a_mask, behind_a_masking])
def test_masks_and_states_reach_the_recurrent_layer(build):
    keras.utils.set_random_seed(0)
    model, values = build()
    small = slim.factorize(model, planned(("net", "channel", (20, 24), (20,))), values)
    for old, new in zip(keras.tree.flatten(model(values)), keras.tree.flatten(small(values)), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-5)


def test_what_is_for_the_kernel_alone_is_not_for_its_factors(tmp_path):
    def constant(*shape):
        return keras.initializers.Constant(rng.normal(size=shape))

    inputs = keras.Input((5,), dtype="int32")
    y = layers.Embedding(30, 20, constant(30, 20), name="table")(inputs)
    y = layers.LSTM(6, kernel_initializer=constant(20, 24), return_sequences=True, name="net")(y)
    y = layers.Conv1D(12, 3, kernel_initializer=constant(3, 6, 12), name="conv")(y)
    model = keras.Model(inputs, layers.Dense(10, kernel_initializer=constant(12, 10), name="head")(y))
    small = slim.factorize(model, ranks=2, scheme="tucker")
    assert len(small.layers) == len(model.layers) + 4 + 1  # the convolution is three layers
    small.save(tmp_path / "small.keras")
    tokens = rng.integers(0, 30, (4, 5))
    np.testing.assert_allclose(keras.saving.load_model(tmp_path / "small.keras")(tokens), small(tokens), atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dense(9, kernel_constraint="non_neg", name="net"),
        layers.Conv1D(9, 3, kernel_constraint="max_norm", name="net"),
        layers.GRU(9, kernel_constraint="unit_norm", name="net"),
    ],
)
def test_a_kernel_with_a_constraint_stays_whole(layer):
    model = keras.Sequential([keras.Input((5, 20)), layer])
    plan = slim.plan_factorization(model, ranks=1)
    assert not plan.layers
    assert "constraint" in plan.whole[0].reason


def test_penalties_go_to_factors_and_to_what_comes_out():
    inputs = keras.Input((5,), dtype="int32")
    y = layers.Embedding(30, 20, embeddings_regularizer="l1", activity_regularizer="l2", name="table")(inputs)
    model = keras.Model(inputs, layers.GRU(6, kernel_regularizer="l1", activity_regularizer="l2", name="net")(y))
    small = slim.factorize(model, ranks=2, scheme="tucker")
    table, dense, first, gru = small.layers[1:]
    assert all(
        isinstance(each, keras.regularizers.L1)
        for each in (table.embeddings_regularizer, dense.kernel_regularizer, first.kernel_regularizer)
    )
    assert [each.activity_regularizer is not None for each in (table, dense, first, gru)] == [False, True, False, True]


def test_layers_whose_moments_are_too_large_are_told_and_cut_without_data():
    memory = 32 * 30**2
    keras.utils.set_random_seed(0)
    flat = layers.Flatten()
    model = keras.Sequential([keras.Input((5, 20)), flat, layers.Dense(30, name="large"), layers.Dense(30, name="net")])
    with pytest.warns(SlimWarning, match=r"Layers \['large'\] read so many numbers .* `memory=320000`"):
        plan = slim.plan_factorization(model, ranks=4, data=x, memory=memory)
    with pytest.warns(SlimWarning, match="'large'") as told:
        small = slim.factorize(model, plan, x, memory=memory)
    assert {each.filename for each in told if each.category is SlimWarning} == {__file__}
    plain = slim.factorize(model, plan)
    for name, is_same in {"large": True, "net": False}.items():
        kernels = [np.array(each.get_layer(name).kernel) for each in (small, plain)]
        assert np.allclose(*kernels) == is_same


@pytest.mark.filterwarnings("error::keras_slim.errors.SlimWarning")
@pytest.mark.parametrize("options", [{"ranks": {"net": 4}}, {"ratio": 0.1, "scheme": {"net": "auto"}}])
def test_nothing_is_told_of_large_layers_that_stay_whole_anyway(options):
    inputs = keras.Input((40,))
    model = keras.Model(inputs, layers.Dense(30, name="net")(layers.Dense(30, name="large")(inputs)))
    plan = slim.plan_factorization(model, data=x[:, :2].reshape(8, 40), memory=32 * 30**2, **options)
    assert [each.path for each in plan.layers] == ["net"]


@pytest.mark.parametrize(
    "layer", [layers.LSTM(6, name="net"), layers.SimpleRNN(6, name="net"), layers.GRU(6, reset_after=False, name="net")]
)
def test_the_bias_of_a_recurrent_layer_keeps_the_means(layer, monkeypatch):
    monkeypatch.setattr(seen, "RIDGES", (0.0,))
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5, 20)), layer])
    values = x + 3
    small = slim.factorize(model, ranks=2, data=values)
    first, recurrent = small.layers
    rows = values.reshape(-1, 20)
    before = rows @ np.array(layer.cell.kernel) + np.array(layer.cell.bias)
    after = rows @ np.array(first.kernel) @ np.array(recurrent.cell.kernel) + np.array(recurrent.cell.bias)
    np.testing.assert_allclose(after.mean(axis=0), before.mean(axis=0), atol=1e-4)
    singular_values = np.linalg.svd(before - before.mean(axis=0), compute_uv=False)
    assert np.linalg.norm(after - before) == pytest.approx(np.linalg.norm(singular_values[2:]), rel=1e-3)


@pytest.mark.parametrize("offset", [0.1, 1e5])
@pytest.mark.parametrize("deviation", [0.0, 1e-3])
def test_inputs_that_hardly_vary_or_not_at_all(offset, deviation):
    keras.utils.set_random_seed(0)
    convolutions = [layers.Conv2D(16, 3, name="a", dtype="float64"), layers.Conv2D(16, 3, name="b", dtype="float64")]
    model = keras.Sequential([keras.Input((8, 8, 6), dtype="float64"), *convolutions])
    images = offset + deviation * rng.normal(size=(30, 8, 8, 6))
    small = slim.factorize(model, ratio=0.5, data=images)
    answers = np.array(model(images))
    missed = np.linalg.norm(np.array(small(images)) - answers)
    assert missed <= 0.7 * np.linalg.norm(answers - answers.mean(axis=(0, 1, 2))) + 1e-9 * np.linalg.norm(answers)
    assert all(np.abs(np.array(layer.kernel)).max() > 0.05 for layer in small.layers)


def by_keyword():
    sequence, hidden, carry = keras.Input((5, 20)), keras.Input((6,)), keras.Input((6,))
    outputs = layers.LSTM(6, name="net")(initial_state=[hidden, carry], sequences=sequence)
    states = [rng.normal(size=(8, 6)).astype("float32") for _ in range(2)]
    return keras.Model([sequence, hidden, carry], outputs), [x, *states]


def test_a_layer_that_is_called_by_keyword():
    keras.utils.set_random_seed(0)
    model, values = by_keyword()
    plan = slim.plan_factorization(model, ranks=4, data=values)
    assert plan.after.macs == plan.before.macs - 5 * (20 * 24 - 4 * (20 + 24))
    small = slim.factorize(model, planned(("net", "channel", (20, 24), (20,))), values)
    np.testing.assert_allclose(small(values), model(values), atol=1e-5)


def test_what_a_stateful_layer_remembers_is_in_the_copy():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5, 20), batch_size=8)
    model = keras.Model(inputs, layers.GRU(6, stateful=True, dropout=0.2, name="net")(inputs))
    model(x)
    small = slim.factorize(model, planned(("net", "channel", (20, 18), (18,))))
    first, second = np.array(model(x)), np.array(small(x))
    np.testing.assert_allclose(second, first, atol=1e-5)
    model.layers[-1].reset_states()
    assert np.abs(np.array(model(x)) - first).max() > 1e-3


@pytest.mark.parametrize("is_passed", [False, True])
def test_padded_steps_do_not_count(is_passed):
    keras.utils.set_random_seed(0)
    tokens = np.where(np.arange(5) < 1 + np.arange(40)[:, None] % 5, rng.integers(1, 30, (40, 5)), 0)
    inputs = keras.Input((5,), dtype="int32")
    rows = layers.Embedding(30, 20, mask_zero=not is_passed, name="table")(inputs)
    gru = layers.GRU(6, name="net")
    mask = {"mask": inputs != 0} if is_passed else {}
    model = keras.Model(inputs, gru(rows, **mask))
    model.get_layer("table").embeddings.assign(rng.normal(size=(30, 20)) + 5 * (np.arange(30) == 0)[:, None])
    with pytest.raises(ValueError, match="All that 'net' reads of `data` is masked"):
        slim.factorize(model, ranks={"net": 2}, data=np.zeros((4, 5)))
    small = slim.factorize(model, ranks={"net": 2}, data=tokens)
    first, recurrent = (each for each in small.layers if each.name.startswith("net"))
    seen = np.array(model.get_layer("table")(tokens))[tokens != 0]
    before = seen @ np.array(gru.cell.kernel)
    after = seen @ np.array(first.kernel) @ np.array(recurrent.cell.kernel)
    shift = np.array(recurrent.cell.bias - gru.cell.bias)
    np.testing.assert_allclose((after + shift[0]).mean(axis=0), before.mean(axis=0), atol=1e-4)
    np.testing.assert_array_equal(shift[1], 0)
    lost = np.linalg.svd(before - before.mean(axis=0), compute_uv=False)[2:]
    assert np.linalg.norm(after + shift[0] - before) == pytest.approx(np.linalg.norm(lost), rel=1e-3)
