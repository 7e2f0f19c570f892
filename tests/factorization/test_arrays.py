"""Factors against arithmetic written out, and ranks against matrices of which they are known."""

import itertools

import numpy as np
import pytest

from keras_slim.factorization import (
    LowRank,
    energy_rank,
    evbmf_rank,
    low_rank,
    singular_values,
    tensor_train,
    tensor_train_deviation,
)

rng = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (1, 5), (5, 5)])
@pytest.mark.parametrize("known", [False, True])
def test_factors_of_full_rank_are_the_matrix(shape, known):
    matrix, x = rng.normal(size=shape), rng.normal(size=(40, shape[0]))
    first, second = LowRank(matrix, x.T @ x if known else None).factors(min(shape))
    np.testing.assert_allclose(first @ second, matrix, atol=1e-10)


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_what_is_lost_is_the_tail_of_the_singular_values(rank):
    matrix, x = rng.normal(size=(8, 6)), rng.normal(size=(50, 8)) * np.geomspace(1, 50, 8)
    plain, fitted = LowRank(matrix), LowRank(matrix, x.T @ x)
    errors = {}
    for name, found in {"plain": plain, "fitted": fitted}.items():
        first, second = found.factors(rank)
        errors[name] = matrix - first @ second
    np.testing.assert_allclose((errors["plain"] ** 2).sum(), plain.lost()[rank], rtol=1e-6)
    np.testing.assert_allclose(((x @ errors["fitted"]) ** 2).sum(), fitted.lost()[rank], rtol=1e-6)
    assert ((x @ errors["fitted"]) ** 2).sum() < 0.9 * ((x @ errors["plain"]) ** 2).sum()


@pytest.mark.parametrize("size", [1e-3, 1.0, 255.0])
def test_both_factors_are_of_one_size_whatever_that_of_the_inputs(size):
    matrix, x = rng.normal(size=(8, 6)), size * rng.normal(size=(50, 8)) * np.geomspace(1, 1e-6, 8)
    first, second = LowRank(matrix, x.T @ x).factors(6)
    np.testing.assert_allclose(np.linalg.norm(first, axis=0), np.linalg.norm(second, axis=1))
    np.testing.assert_allclose(first @ second, matrix, atol=1e-7)
    assert np.abs(first).max() < 10


@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (50, 50)])
@pytest.mark.parametrize("known", [False, True])
def test_a_large_matrix_has_the_factors_of_the_full_decomposition(shape, known, monkeypatch):
    x = rng.normal(size=(200, shape[0]))
    matrix, gram = rng.normal(size=shape) * np.geomspace(1, 1e-4, shape[1]), x.T @ x if known else None
    every = LowRank(matrix, gram)
    expected = {rank: np.matmul(*every.factors(rank)) for rank in (1, 7, 40)}
    expected_values = every.singular_values
    monkeypatch.setattr(low_rank, "LARGE", 8)
    large = LowRank(matrix, gram)
    for rank, product in expected.items():
        first, second = large.factors(rank)
        np.testing.assert_allclose(first @ second, product, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(first, axis=0), np.linalg.norm(second, axis=1), rtol=1e-6)
    np.testing.assert_allclose(large.singular_values, expected_values, atol=1e-6 * expected_values[0])
    np.testing.assert_allclose(np.matmul(*LowRank(matrix).factors(min(shape))), matrix, atol=1e-12)
    assert not np.matmul(*LowRank(np.zeros(shape)).factors(3)).any()


def test_a_large_matrix_is_cut_without_a_full_decomposition(monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("the full decomposition is too much")

    monkeypatch.setattr(low_rank.scipy.linalg, "svd", forbidden)
    monkeypatch.setattr(low_rank.scipy.linalg, "svdvals", forbidden)
    matrix = rng.normal(size=(1100, 3)) @ rng.normal(size=(3, 1050))
    np.testing.assert_allclose(np.matmul(*LowRank(matrix).factors(3)), matrix, atol=1e-9)
    assert (singular_values(matrix)[3:] < 1e-6 * np.linalg.norm(matrix)).all()


def test_inputs_that_are_always_zero_do_no_harm():
    matrix, x = rng.normal(size=(8, 6)), rng.normal(size=(50, 8)) * (np.arange(8) < 5)
    first, second = LowRank(matrix, x.T @ x).factors(5)
    np.testing.assert_allclose(x @ first @ second, x @ matrix, atol=1e-3)
    assert np.isfinite(LowRank(matrix, np.zeros((8, 8))).factors(2)[0]).all()
    assert np.isfinite(LowRank(np.zeros((8, 6))).factors(2)[0]).all()


@pytest.mark.parametrize(
    ("matrix", "gram", "message"),
    [
        (np.full((2, 3), np.nan), None, "NaN or infinities"),
        (np.zeros(3), None, "of two axes"),
        (np.zeros((2, 3)), np.zeros((3, 3)), "as the matrix has 2 inputs"),
        (np.zeros((2, 3)), np.full((2, 2), np.inf), "NaN or infinities"),
    ],
)
def test_what_is_no_matrix_is_refused(matrix, gram, message):
    with pytest.raises(ValueError, match=message):
        LowRank(matrix, gram)


@pytest.mark.parametrize("rank", [0, 4])
def test_a_rank_out_of_range_is_refused(rank):
    with pytest.raises(ValueError, match="rank"):
        LowRank(np.ones((3, 7))).factors(rank)


def test_the_rank_by_energy():
    values = np.sqrt([6.0, 3.0, 1.0, 0.0])
    assert [energy_rank(values, share) for share in (0.5, 0.6, 0.61, 0.9, 0.95, 1)] == [1, 1, 2, 2, 3, 3]
    assert energy_rank(np.zeros(3), 0.5) == 0


@pytest.mark.parametrize(("shape", "rank"), [((100, 200), 8), ((200, 100), 30), ((150, 150), 20), ((64, 576), 5)])
def test_the_rank_of_a_noisy_matrix_is_found(shape, rank):
    signal = rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1]))
    matrix = signal + 0.5 * rng.normal(size=shape)
    assert evbmf_rank(np.linalg.svd(matrix, compute_uv=False), shape) == rank
    assert evbmf_rank(np.linalg.svd(1e-3 * matrix, compute_uv=False), shape) == rank, "whatever the scale"


@pytest.mark.parametrize("shape", [(64, 576), (100, 100), (20, 500)])
def test_noise_has_no_rank(shape):
    assert evbmf_rank(np.linalg.svd(rng.normal(size=shape), compute_uv=False), shape) == 0
    assert evbmf_rank(np.zeros(min(shape)), shape) == 0


@pytest.mark.filterwarnings("error")
def test_evbmf_of_singular_values_that_are_next_to_nothing():
    assert evbmf_rank(np.array([1.0, 1e-161, 0.0, 0.0]), (4, 400)) == 1


def test_a_matrix_without_noise():
    matrix = rng.normal(size=(40, 4)) @ rng.normal(size=(4, 60))
    assert evbmf_rank(np.linalg.svd(matrix, compute_uv=False), (40, 60)) == 4
    with pytest.raises(ValueError, match="has 40 singular values, received 3"):
        evbmf_rank(np.ones(3), (40, 60))


def carried(cores, x):
    """What a train of cores makes of an input, entry by entry."""
    inputs, outputs = ([core.shape[axis] for core in cores] for axis in (1, 2))
    matrix = np.zeros((np.prod(inputs), np.prod(outputs)))
    for row, i in enumerate(np.ndindex(*inputs)):
        for column, j in enumerate(np.ndindex(*outputs)):
            product = np.eye(1)
            for core, a, b in zip(cores, i, j, strict=True):
                product = product @ core[:, a, b]
            matrix[row, column] = product.item()
    return x @ matrix


def test_a_train_whose_ranks_are_not_cut_is_the_matrix():
    matrix, x = rng.normal(size=(12, 30)), rng.normal(size=(4, 12))
    cores = tensor_train(matrix, (2, 3, 2), (5, 2, 3), 100)
    np.testing.assert_allclose(carried(cores, x), x @ matrix, atol=1e-10)
    assert [core.shape[1:3] for core in cores] == [(2, 5), (3, 2), (2, 3)]


def test_a_train_finds_its_cores_again_and_gets_no_longer_than_needed():
    cores = [rng.normal(size=shape) for shape in ((1, 2, 3, 2), (2, 3, 2, 3), (3, 2, 2, 1))]
    matrix = carried(cores, np.eye(12))
    found = tensor_train(matrix, (2, 3, 2), (3, 2, 2), (2, 3))
    np.testing.assert_allclose(carried(found, np.eye(12)), matrix, atol=1e-8)
    assert [core.shape for core in found] == [core.shape for core in cores]
    with pytest.raises(ValueError, match="2 ranks"):
        tensor_train(matrix, (2, 3, 2), (3, 2, 2), (2,))


@pytest.mark.parametrize("ranks", [(1,), (4, 4), (2, 8, 3)])
def test_fresh_cores_have_a_product_of_the_deviation_that_is_asked(ranks):
    deviation = tensor_train_deviation(0.02, ranks)
    ends = [1, *ranks, 1]
    entries = []
    for _ in range(3000):
        product = np.eye(1)
        for before, behind in itertools.pairwise(ends):
            product = product @ rng.normal(scale=deviation, size=(before, behind))
        entries.append(product.item())
    assert np.std(entries) == pytest.approx(0.02, rel=0.15)
