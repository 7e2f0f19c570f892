"""Attention with smaller heads: exact at full rank, and what is lost is what scores and values miss."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers
from since import GATE

import keras_slim as slim
from keras_slim.errors import PlanMismatchError, SlimWarning, UnsupportedLayerError
from keras_slim.factorization import Heads, LowRankProduct, SmallerHeads
from keras_slim.lowrank import FactorizationPlan, LayerFactors, Size, which

rng = np.random.default_rng(0)
QUERIES, VALUES, KEYS = (5, 12), (7, 10), (7, 9)
MULTI, GROUPED = layers.MultiHeadAttention, layers.GroupQueryAttention


def normal(*shape):
    return rng.normal(size=shape)


def itself(layer, **options):
    """Attention of a sequence to itself."""
    x = keras.Input(QUERIES, dtype="float64")
    return keras.Model(x, layer(x, x, **options)), [normal(20, *QUERIES)]


def across(layer, **options):
    """Attention of a sequence to another one, with keys that are not its values."""
    inputs = [keras.Input(shape, dtype="float64") for shape in (QUERIES, VALUES, KEYS)]
    outputs = layer(*inputs, **options)
    return keras.Model(inputs, outputs), [normal(20, *shape) for shape in (QUERIES, VALUES, KEYS)]


def by_keyword(layer, **options):
    inputs = [keras.Input(shape, dtype="float64") for shape in (QUERIES, VALUES)]
    outputs = layer(value=inputs[1], query=inputs[0], **options)
    return keras.Model(inputs, outputs), [normal(20, *shape) for shape in (QUERIES, VALUES)]


def padded(layer, **options):
    x = keras.Input(QUERIES, dtype="float64")
    masked = layers.Masking(dtype="float64")(x)
    values = normal(20, *QUERIES) * (np.arange(5)[:, None] < 1 + np.arange(20)[:, None, None] % 5)
    return keras.Model(x, layer(masked, masked, **options)), [values]


def given_a_mask(layer, **options):
    x, mask = keras.Input(QUERIES, dtype="float64"), keras.Input((5, 5), dtype="bool")
    return keras.Model([x, mask], layer(x, x, attention_mask=mask, **options)), [
        normal(20, *QUERIES),
        (rng.random((20, 5, 5)) > 0.4) | np.eye(5, dtype=bool),
    ]


def in_a_plane(layer, **options):
    x = keras.Input((3, 4, 12), dtype="float64")
    return keras.Model(x, layer(x, x, **options)), [normal(20, 3, 4, 12)]


CASES = {
    "itself": (itself, MULTI, {}, {}),
    "across": (across, MULTI, {"value_dim": 5}, {}),
    "by keyword": (by_keyword, MULTI, {"dropout": 0.2, "seed": 1}, {}),
    "padded": (padded, MULTI, {}, {}),
    "padded, with weights that are 0 throughout": (padded, MULTI, {}, {"return_attention_scores": True}),
    "given a mask": (given_a_mask, MULTI, {"value_dim": 9}, {}),
    "causal": (itself, MULTI, {}, {"use_causal_mask": True}),
    "window": (itself, MULTI, {"sliding_window": 2}, {}),
    "scores": (across, MULTI, {}, {"return_attention_scores": True}),
    "no bias": (across, MULTI, {"use_bias": False}, {"return_attention_scores": True}),
    "output shape": (itself, MULTI, {"output_shape": (3, 2), "dropout": 0.1}, {}),
    "gate": (itself, MULTI, {**GATE, "value_dim": 5, "dropout": 0.1}, {}),
    "plane": (in_a_plane, MULTI, {"attention_axes": (2,)}, {}),
    "whole plane": (in_a_plane, MULTI, {}, {}),
    "grouped": (itself, GROUPED, {"dropout": 0.1}, {}),
    "grouped, no bias": (itself, GROUPED, {"use_bias": False}, {"use_causal_mask": True}),
}


def made(case, dtype="float64"):
    build, kind, options, call = CASES[case]
    keras.utils.set_random_seed(1)
    sizes = {"num_heads": 4, "key_dim": 6} if kind is MULTI else {"num_query_heads": 4, "num_key_value_heads": 2}
    sizes = sizes if kind is MULTI else {**sizes, "head_dim": 6}
    layer = kind(**sizes, **options, name="net", dtype=dtype)
    model, values = build(layer, **call)
    values = values if len(values) > 1 else values[0]
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape) / 2)
    return model, values, layer


def planned(layer, ranks, path="net"):
    kind = which.factorable(layer)
    return FactorizationPlan((LayerFactors(path, "attention", kind.shape, ranks, 0.0),), (), Size(0, 0), Size(0, 0))


def full(layer):
    kind = which.factorable(layer)
    return kind.schemes["attention"].full(kind.shape)


def close(model, other, values, atol):
    for old, new in zip(keras.tree.flatten(model(values)), keras.tree.flatten(other(values)), strict=True):
        np.testing.assert_allclose(new, old, atol=atol)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_full_rank_is_exact(case, known):
    model, values, layer = made(case)
    small = slim.factorize(model, planned(layer, full(layer)), values if known else None)
    close(model, small, values, 2e-6 if known else 1e-10)
    assert type(small.get_layer("net")) is type(layer)


@pytest.mark.parametrize("case", CASES)
def test_counts_are_those_of_the_profile_and_options_survive(case):
    model, values, layer = made(case)
    plan = slim.plan_factorization(model, ranks=3, data=values)
    small = slim.factorize(model, plan, values)
    cost = slim.profile(small)
    assert (cost.parameters, cost.macs) == (plan.after.params, plan.after.macs)
    assert plan.after.params < plan.before.params
    assert plan.after.macs < plan.before.macs == slim.profile(model).macs
    assert FactorizationPlan.from_json(plan.to_json()) == plan
    before, after = layer.get_config(), small.get_layer("net").get_config()
    other = {key for key in before if before[key] != after[key]}
    assert other <= {"key_dim", "value_dim", "head_dim", "kernel_initializer"}


def softmax(scores):
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True)


def by_hand(layer, query, key, value, ranks=None):
    """What attention makes of arrays, and with products of each head that are truncated, written out."""
    weights = {weight.path.split("/", 1)[1]: np.array(weight) for weight in layer.weights}
    outputs = weights["attention_output/bias"] + 0.0
    for head in range(4):
        wq, wk, wv = (weights[f"{name}/kernel"][:, head] for name in ("query", "key", "value"))
        wq = np.concatenate([wq, weights["query/bias"][None, head]])
        scores, values = wq @ wk.T, wv @ weights["attention_output/kernel"][head]
        for rank, name in zip(ranks or (), ("scores", "values"), strict=False):
            u, s, v = np.linalg.svd(scores if name == "scores" else values, full_matrices=False)
            cut = (u[:, :rank] * s[:rank]) @ v[:rank]
            scores, values = (cut, values) if name == "scores" else (scores, cut)
        ones = np.ones((*query.shape[:-1], 1))
        attention = softmax(np.concatenate([query, ones], -1) @ scores @ key.transpose(0, 2, 1) / np.sqrt(6))
        outputs = outputs + attention @ value @ values
        outputs = outputs + weights["value/bias"][head] @ weights["attention_output/kernel"][head]
    return outputs


def test_it_answers_as_one_whose_products_are_truncated():
    model, (query, value, key), layer = made("scores")
    np.testing.assert_allclose(by_hand(layer, query, key, value), model([query, value, key])[0], atol=1e-6)
    small = slim.factorize(model, planned(layer, (3, 2)))
    wanted = by_hand(layer, query, key, value, (3, 2))
    np.testing.assert_allclose(small([query, value, key])[0], wanted, atol=1e-6, err_msg="softmax has 32 bits")
    found = small.get_layer("net")
    assert (found.key_dim, found.value_dim) == (3, 2)
    before, after = (
        np.einsum("dhk,ehk->hde", np.array(each.query_dense.kernel), np.array(each.key_dense.kernel))
        for each in (layer, found)
    )
    bias = np.einsum("hk,ehk->he", np.array(layer.query_dense.bias), np.array(layer.key_dense.kernel))
    u, s, v = np.linalg.svd(np.concatenate([before, bias[:, None]], axis=1), full_matrices=False)
    cut = (u[:, :-1, :3] * s[:, None, :3]) @ v[:, :3]
    np.testing.assert_allclose(after / np.sqrt(3), cut / np.sqrt(6), atol=1e-10)


def scores_of(layer, query, key):
    """The scores of all queries and keys, head by head, less what is the same for all keys."""
    dense = [
        np.einsum("nd,dhk->nhk", x, np.array(part.kernel))
        for x, part in ((query, layer.query_dense), (key, layer.key_dense))
    ]
    scores = np.einsum("nhk,mhk->hnm", dense[0] + np.array(layer.query_dense.bias), dense[1]) / np.sqrt(layer.key_dim)
    return scores - scores.mean(axis=2, keepdims=True)


def test_scores_and_values_lose_the_tails_of_their_singular_values():
    model, values, layer = made("across")
    values = [x * np.geomspace(4, 0.1, x.shape[-1]) + 1 for x in values]
    query, value, key = (x.reshape(-1, x.shape[-1]) for x in values)
    fitted, plain = (slim.factorize(model, planned(layer, (3, 2)), data) for data in (values, None))
    whole = scores_of(layer, query, key)
    tail = np.sqrt((np.linalg.svd(whole, compute_uv=False)[:, 3:] ** 2).sum())
    missed = [np.linalg.norm(scores_of(each.get_layer("net"), query, key) - whole) for each in (fitted, plain)]
    assert missed[0] == pytest.approx(tail, rel=1e-3)
    assert missed[0] < 0.9 * missed[1]

    def made_of_values(layer):
        wv, wo = np.array(layer.value_dense.kernel), np.array(layer.output_dense.kernel)
        return np.einsum("nd,dhv,hve->hne", value - value.mean(axis=0), wv, wo)

    whole = made_of_values(layer)
    tail = np.sqrt((np.linalg.svd(whole, compute_uv=False)[:, 2:] ** 2).sum())
    missed = [np.linalg.norm(made_of_values(each.get_layer("net")) - whole) for each in (fitted, plain)]
    assert missed[0] == pytest.approx(tail, rel=1e-3)
    assert missed[0] < 0.9 * missed[1]


def test_padded_queries_and_keys_do_not_count():
    keras.utils.set_random_seed(1)
    tokens = np.where(np.arange(5) < 1 + np.arange(40)[:, None] % 5, rng.integers(1, 30, (40, 5)), 0)
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(30, 12, mask_zero=True, name="table", dtype="float64")(inputs)
    layer = MULTI(4, 6, name="net", dtype="float64")
    model = keras.Model(inputs, layer(x, x))
    rows = normal(30, 12) * np.geomspace(4, 0.1, 12) + 20 * (np.arange(30) == 0)[:, None]
    model.get_layer("table").embeddings.assign(rows)
    small = slim.factorize(model, planned(layer, (3, 6)), tokens)
    read = rows[tokens[tokens != 0]]
    whole = scores_of(layer, read, read)
    tail = np.sqrt((np.linalg.svd(whole, compute_uv=False)[:, 3:] ** 2).sum())
    assert np.linalg.norm(scores_of(small.get_layer("net"), read, read) - whole) == pytest.approx(tail, rel=1e-3)


def test_what_a_plan_says_is_lost_is_what_is_lost():
    model, values, layer = made("across")
    values = [x * np.geomspace(4, 0.1, x.shape[-1]) + 1 for x in values]
    query, _, key = (x.reshape(-1, x.shape[-1]) for x in values)
    plan = slim.plan_factorization(model, ranks=(3, 5), data=values)
    (found,) = plan.layers
    whole = scores_of(layer, query, key)
    missed = scores_of(slim.factorize(model, plan, values).get_layer("net"), query, key) - whole
    assert found.lost == pytest.approx((missed**2).sum() / (whole**2).sum(), rel=1e-2), "values are not cut"
    assert "net: attention 6 -> 3, 5 -> 5" in plan.describe()


def test_heads_that_share_keys_are_cut_together():
    kernel = Heads(normal(9, 4, 5), normal(8, 2, 5), normal(8, 2, 5), normal(4, 5, 7))
    scheme = SmallerHeads(is_tied=True)
    small = scheme.fit(kernel, (3,))
    for group in range(2):
        stacked = np.concatenate(
            [kernel.query[:, head] @ kernel.key[:, group].T for head in (2 * group, 2 * group + 1)]
        )
        u, s, v = np.linalg.svd(stacked, full_matrices=False)
        found = [small.query[:, head] @ small.key[:, group].T for head in (2 * group, 2 * group + 1)]
        np.testing.assert_allclose(np.concatenate(found), (u[:, :3] * s[:3]) @ v[:3], atol=1e-10)
    assert scheme.num_ranks() == 1
    assert small.shape[5:7] == (3, 3)


def test_what_queries_keys_and_values_read_takes_memory_for_each():
    model, values, _ = made("across")
    enough = 32 * (13**2 + 9**2 + 10**2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SlimWarning)
        slim.plan_factorization(model, ranks=2, data=values, memory=enough)
    with pytest.warns(SlimWarning, match=f"`memory={enough}`"):
        slim.plan_factorization(model, ranks=2, data=values, memory=enough - 1)


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_a_product_that_is_weighed_on_both_sides(rank):
    first, second, x, z = normal(8, 5), normal(5, 9), normal(40, 8), normal(30, 9)
    product = LowRankProduct(first, second, x.T @ x, z.T @ z)
    found = [x @ each @ z.T for each in (np.linalg.multi_dot(product.factors(rank)), first @ second)]
    values = np.linalg.svd(found[1], compute_uv=False)
    assert ((found[0] - found[1]) ** 2).sum() == pytest.approx((values[rank:] ** 2).sum(), rel=1e-6, abs=1e-6)
    assert product.lost()[rank] == pytest.approx((values[rank:] ** 2).sum(), rel=1e-6, abs=1e-6)


def test_a_share_of_the_whole_is_saved_and_noise_has_no_rank():
    model, values, _ = made("itself")
    for of in ("params", "macs"):
        plan = slim.plan_factorization(model, 0.3, of=of, data=values)
        assert getattr(plan.after, of) <= 0.7 * getattr(plan.before, of)
    (found,) = slim.plan_factorization(model, ranks="energy").layers
    assert found.lost <= 0.05
    assert not slim.plan_factorization(model, ranks="evbmf").layers
    wide = layers.MultiHeadAttention(2, 40, name="net")
    inputs = keras.Input(QUERIES)
    model = keras.Model(inputs, wide(inputs, inputs))
    (found,) = slim.plan_factorization(model, ranks=100).layers
    assert found.ranks == (12, 12), "no head needs to be wider than what it reads"
    assert found.lost == pytest.approx(0, abs=1e-10)


def test_evbmf_finds_the_ranks_of_heads():
    dim = 30
    inputs = keras.Input((5, 60))
    layer = layers.MultiHeadAttention(2, dim, name="net")
    model = keras.Model(inputs, layer(inputs, inputs))
    thin = {
        "query": normal(60, 2, 4) @ normal(4, dim),
        "key": np.linalg.qr(normal(60, dim))[0][:, None] + np.zeros((60, 2, dim)),
    }
    layer.query_dense.kernel.assign(thin["query"] + 0.05 * normal(60, 2, dim))
    layer.key_dense.kernel.assign(thin["key"])
    value = np.stack([np.linalg.qr(normal(60, dim))[0] for _ in range(2)], axis=1)
    layer.value_dense.kernel.assign(value)
    layer.output_dense.kernel.assign(normal(2, dim, 3) @ normal(3, 60) + 0.05 * normal(2, dim, 60))
    (found,) = slim.plan_factorization(model, ranks="evbmf").layers
    assert found.ranks == (4, 3)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (MULTI(2, 4, kernel_constraint="non_neg", name="net"), "constraint"),
        *([(GROUPED(4, 4, 2, **GATE, name="net"), "its gate")] if GATE else []),
    ],
)
def test_what_stays_whole_and_why(layer, reason):
    inputs = keras.Input(QUERIES)
    plan = slim.plan_factorization(keras.Model(inputs, layer(inputs, inputs)), ranks=1)
    assert not plan.layers
    assert reason in plan.whole[0].reason


@pytest.mark.parametrize("bits", ["int8", "int4"])
def test_what_is_quantized_by_keras_stays_whole(bits):
    layer = MULTI(2, 4, name="net")
    layer.build((None, *QUERIES), (None, *QUERIES))
    layer.query_dense.quantize(bits)
    assert which.why_not(layer) == "it is quantized"


def test_a_class_of_the_users_own_is_read_projection_by_projection():
    class Own(MULTI):
        pass

    inputs = keras.Input(QUERIES)
    model = keras.Model(inputs, Own(2, 6, name="own")(inputs, inputs))
    plan = slim.plan_factorization(model, ranks=12)
    assert not plan.layers
    small = slim.factorize(model, ranks=5, data=normal(20, *QUERIES).astype("float32"))
    assert small.count_params() == model.count_params() - 4 * (12 * 12 - 5 * 24)


def test_a_layer_that_is_called_twice_and_on_any_length():
    inputs = keras.Input((None, 12))
    layer = MULTI(2, 6, name="net")
    model = keras.Model(inputs, layer(layer(inputs, inputs), inputs))
    values = normal(20, *QUERIES).astype("float32")
    close(model, slim.factorize(model, planned(layer, full(layer)), values), values, 1e-4)


def test_what_cannot_be():
    model, _, layer = made("itself")
    for ranks in [(7, 2), (2,), (0, 2)]:
        with pytest.raises(PlanMismatchError, match="'attention'"):
            slim.factorize(model, planned(layer, ranks))
    inputs = keras.Input(QUERIES)
    layer = MULTI(2, 4, name="net")
    constant = keras.Model(inputs, layer(keras.ops.ones((1, 5, 12)), inputs))
    with pytest.raises(UnsupportedLayerError, match=r"ignore=\['net'\]"):
        slim.plan_factorization(constant, ranks=1)
    assert not slim.plan_factorization(constant, ranks=1, ignore=["net"]).layers


def block(width=24):
    """A block of a transformer for tokens, which may be padded, with a mean over these."""
    keras.utils.set_random_seed(3)
    tokens = keras.Input((6,), dtype="int32")
    x = layers.Embedding(30, width, name="table")(tokens)
    y = layers.MultiHeadAttention(3, 8, name="attention")(x, x)
    x = layers.LayerNormalization(name="norm")(layers.Add()([x, y]))
    y = layers.Dense(2 * width, activation="gelu", name="up")(x)
    x = layers.LayerNormalization(name="last_norm")(layers.Add()([x, layers.Dense(width, name="down")(y)]))
    return keras.Model(tokens, layers.Dense(5, activation="softmax", name="head")(layers.GlobalAveragePooling1D()(x)))


@pytest.fixture(scope="module")
def tokens():
    return rng.integers(0, 30, (64, 6))


def test_a_block_is_saved_and_exported(tokens, tmp_path):
    model = block()
    small = slim.factorize(model, ratio=0.3, data=tokens)
    assert {"attention"} <= {each.path for each in slim.plan_factorization(model, 0.3, data=tokens).layers}
    small.save(tmp_path / "small.keras")
    close(small, keras.saving.load_model(tmp_path / "small.keras"), tokens, 1e-6)
    slim.export_tflite(small, tmp_path / "small.tflite")
    assert slim.verify_tflite(small, tmp_path / "small.tflite", tokens[:8]).sqnr_db > 80


def test_a_look_at_data_keeps_more_of_a_block(tokens):
    model = block()
    plan = slim.plan_factorization(model, ranks={"attention": 3}, data=tokens)
    answers = [np.array(slim.factorize(model, plan, data)(tokens)) for data in (tokens, None)]
    missed = [np.linalg.norm(each - np.array(model(tokens))) for each in answers]
    assert missed[0] < missed[1]


def test_a_block_whose_units_are_pruned_before(tokens):
    model = slim.prune(block(), 0.3, criterion="l2")
    small = slim.factorize(model, ratio=0.3, data=tokens)
    assert slim.profile(small).macs <= 0.7 * slim.profile(model).macs
    layer = model.get_layer("attention")
    close(model, slim.factorize(model, planned(layer, full(layer), "attention"), tokens), tokens, 1e-5)
