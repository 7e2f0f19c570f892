"""Plans as data, and what is said where something cannot be."""

import dataclasses
import re

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.errors import PlanMismatchError
from keras_slim.lowrank import EVBMF, Energy, FactorizationPlan, RankRule, seen

rng = np.random.default_rng(0)


class Quarter(RankRule):
    """A rule of the user's own."""

    def ranks(self, kernel, scheme, gram):
        return tuple(max(1, rank // 4) for rank in scheme.full(kernel.shape))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6, 6, 16)), layers.Conv2D(16, 3, name="conv"), layers.Dense(3, name="head")])


@pytest.mark.parametrize(
    "ranks", [(2, 4), [2, 4], np.int64(3), 3, Energy(0.5), Quarter(), {"conv": Energy(0.25)}, {layers.Conv2D: (2, 3)}]
)
def test_a_plan_comes_back_from_json_and_says_how_it_was_made(model, ranks):
    plan = slim.plan_factorization(model, ranks=ranks)
    assert FactorizationPlan.from_json(plan.to_json()) == plan
    (rule,) = ranks.values() if isinstance(ranks, dict) else [ranks]
    if isinstance(rule, RankRule):
        told = plan.settings["ranks"]
        assert (told["conv"] if isinstance(ranks, dict) else told).startswith(type(rule).__name__)
        assert str(getattr(rule, "share", "")) in str(told)


@pytest.mark.parametrize(
    ("scheme", "ranks"),
    [
        ("tuckr", (2, 2)),
        ("tucker", (2,)),
        ("channel", (0,)),
        ("channel", (17,)),
        ("channel", (2.0,)),
        ("tucker", (1, 10)),
        ("channel", (2, 2)),
    ],
)
def test_a_plan_of_what_cannot_be_is_refused(model, scheme, ranks):
    plan = slim.plan_factorization(model, ranks={"conv": 2})
    wrong = dataclasses.replace(plan.layers[0], scheme=scheme, ranks=ranks)
    with pytest.raises(PlanMismatchError, match=re.escape(f"('conv', {scheme!r}, {ranks})")):
        slim.factorize(model, dataclasses.replace(plan, layers=(wrong,)))


def test_a_dense_layer_cannot_be_spatial(model):
    plan = slim.plan_factorization(model, ranks={"head": 1})
    wrong = dataclasses.replace(plan.layers[0], scheme="spatial")
    with pytest.raises(PlanMismatchError, match="'spatial'"):
        slim.factorize(model, dataclasses.replace(plan, layers=(wrong,)))


def test_ranks_go_no_further_than_the_factor_before_allows(model):
    (found,) = slim.plan_factorization(model, ranks={"conv": (1, 12)}, scheme="tucker").layers
    assert found.ranks == (1, 9)
    noisy = keras.models.clone_model(model)
    kernel = np.ones((3, 3, 16, 16)) + 0.01 * rng.normal(size=(3, 3, 16, 16))
    noisy.layers[0].kernel.assign(kernel)
    for weaken in (0.0, 0.1, 0.5):
        for each in slim.plan_factorization(noisy, ranks={"conv": EVBMF(weaken)}, scheme="tucker").layers:
            assert each.ranks[1] <= 9 * each.ranks[0]


def test_data_that_is_not_finite_is_told_when_a_plan_is_carried_out(model):
    plan = slim.plan_factorization(model, ranks={"conv": 2})
    with pytest.raises(ValueError, match="What 'conv' reads holds values that are not finite"):
        slim.factorize(model, plan, np.full((4, 6, 6, 16), np.nan, "float32"))


def test_a_table_saves_nothing_to_compute():
    inputs = keras.Input((7,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(50, 24, name="table")(inputs))
    model = keras.Model(inputs, layers.Dense(40, name="head")(layers.Dense(40, name="hidden")(x)))
    reasons = {each.path: each.reason for each in slim.plan_factorization(model, 0.2).whole}
    assert reasons["table"] == "it would be no smaller"
    alone = slim.plan_factorization(keras.Sequential([keras.Input((7,)), layers.Embedding(50, 24)]), ranks={})
    assert "macs 0 -> 0 (+0.0%)" in alone.describe()


def test_layers_that_lose_the_same_are_cut_one_by_one():
    kernel = rng.normal(size=(20, 20))
    twins = [layers.Dense(20, name=name) for name in "ab"]
    model = keras.Sequential([keras.Input((20,)), *twins])
    for each in twins:
        each.kernel.assign(kernel)
    plan = slim.plan_factorization(model, 0.3)
    assert 0.6 * plan.before.macs < plan.after.macs <= 0.7 * plan.before.macs


@pytest.mark.parametrize(
    ("ranks", "scheme", "reason"),
    [
        ("evbmf", "channel", "its kernel has no signal of low rank"),
        ((2, 3, 4), "tucker", "its ranks are (2, 3, 4), and there have to be 2 for 'tucker'"),
        ((2, 3), {"conv": "channel"}, "its ranks are (2, 3), and there have to be 1 for 'channel'"),
        ((16, 16), "tucker", "it has no ranks with which it is smaller"),
        (2, {"head": "channel"}, "no scheme is given for it"),
        ({"head": 2}, "auto", "no ranks are given for it"),
    ],
)
def test_a_layer_that_stays_whole_has_the_reason_that_is_its_own(model, ranks, scheme, reason):
    reasons = {each.path: each.reason for each in slim.plan_factorization(model, ranks=ranks, scheme=scheme).whole}
    assert reasons["conv"] == reason


def test_a_rule_of_the_users_own_that_wants_none_is_told(model):
    class Never(RankRule):
        def ranks(self, kernel, scheme, gram):
            return None

    reasons = {each.reason for each in slim.plan_factorization(model, ranks=Never()).whole}
    assert reasons == {"its rule for ranks leaves it whole"}


def test_second_moments_that_take_more_than_the_memory_are_taken_pass_by_pass_and_piece_by_piece(monkeypatch):
    keras.utils.set_random_seed(0)
    convolutions = [layers.Conv2D(8, 3, name=name) for name in "abc"]
    model = keras.Sequential([keras.Input((9, 9, 8)), *convolutions, layers.Dense(8, name="head")])
    batches = []

    class Images(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            batches.append(index)
            return np.random.default_rng(index).normal(size=(8, 9, 9, 8)) + 5

    expected = slim.plan_factorization(model, 0.4, data=Images())
    passes = len(batches)
    monkeypatch.setattr(seen, "PIECE", 8 * 72 * 50)  # 50 rows, of 8 * 49 in the first layer
    found = slim.plan_factorization(model, 0.4, data=Images(), memory=32 * 72**2 + 1)
    assert len(batches) == passes + 4 * passes
    assert [(each.path, each.ranks) for each in found.layers] == [(each.path, each.ranks) for each in expected.layers]
    np.testing.assert_allclose([each.lost for each in found.layers], [each.lost for each in expected.layers], rtol=1e-6)


@pytest.mark.parametrize("ranks", [0, 2.5, True, (2, 0), {"conv": [0]}])
def test_what_is_no_rank_is_refused(model, ranks):
    with pytest.raises((TypeError, ValueError), match="Expected an integer of at least 1"):
        slim.plan_factorization(model, ranks=ranks)


def test_sizes_that_are_not_known_inside_the_model():
    inputs = keras.Input((1,), dtype="string")
    x = layers.TextVectorization(vocabulary=["a", "b", "c"])(inputs)
    x = layers.Dense(40, name="inner")(layers.Embedding(40, 24, name="table")(x))
    model = keras.Model(inputs, layers.Dense(30, name="head")(layers.GlobalAveragePooling1D()(x)))
    plan = slim.plan_factorization(model, 0.3, of="params", data=keras.ops.convert_to_tensor([["a b"], ["c a"]]))
    assert plan.before.macs is None
    assert slim.factorize(model, plan).count_params() == plan.after.params <= 0.7 * plan.before.params
    with pytest.raises(ValueError, match="not known"):
        slim.plan_factorization(model, 0.3)
