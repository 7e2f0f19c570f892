"""Tensor trains and sums of products of vectors: exact at full rank, and what is lost is what the product misses."""

import math
import sys

import numpy as np
import pytest

from keras_slim.errors import MissingExtraError
from keras_slim.factorization import CANONICAL, TrainScheme
from keras_slim.factorization.canonical import CanonicalScheme

rng = np.random.default_rng(0)
TRAIN, TABLE = TrainScheme(), TrainScheme(has_spare_rows=True)
CASES = [
    *[pytest.param(TRAIN, shape, id=f"train-{shape}") for shape in [(24, 30), (7, 10), (8, 1)]],
    *[pytest.param(TABLE, shape, id=f"table-{shape}") for shape in [(23, 12), (50, 8)]],
    *[pytest.param(CANONICAL, shape, id=f"cp-{shape}") for shape in [(3, 4, 6), (3, 3, 4, 5), (1, 5, 3, 2)]],
]


def patches(kernel, rows=300):
    """Inputs of a kernel with some directions much stronger than others, flat."""
    size = kernel.size // kernel.shape[-1]
    return rng.normal(size=(rows, size)) @ (rng.normal(size=(size, size)) * np.geomspace(1, 0.05, size)[:, None])


def flat(kernel):
    return kernel.reshape(-1, kernel.shape[-1])


def sum_of_products(shape, rank):
    """A kernel of so many terms, term by term."""
    *positions, inputs, outputs = shape
    kernel = np.zeros(shape)
    for _ in range(rank):
        a, b, c = rng.normal(size=positions), rng.normal(size=inputs), rng.normal(size=outputs)
        kernel += a[..., None, None] * b[:, None] * c
    return kernel


@pytest.mark.parametrize(("scheme", "shape"), CASES)
def test_full_rank_is_exact(scheme, shape):
    kernel = rng.normal(size=shape)
    x = patches(kernel)
    for gram in (None, x.T @ x):
        np.testing.assert_allclose(scheme.fit(kernel, scheme.full(shape), gram).product(), kernel, atol=1e-10)
    assert scheme.lost_at(kernel, scheme.full(shape)) < 1e-20


@pytest.mark.parametrize(("scheme", "shape"), CASES)
def test_what_is_lost_is_what_the_product_misses(scheme, shape):
    kernel = np.random.default_rng(0).normal(size=shape)
    x = patches(kernel)
    gram = x.T @ x if isinstance(scheme, CanonicalScheme) else None
    found = dict(scheme.lost(kernel, gram))
    for ranks in list(found)[:: max(1, len(found) // 5)]:
        assert scheme.within(shape, ranks) == ranks
        missed = flat(kernel - scheme.fit(kernel, ranks, gram).product())
        missed, whole = (missed, flat(kernel)) if gram is None else (x @ missed, x @ flat(kernel))
        missed = (missed**2).sum() / (whole**2).sum()
        if scheme is TABLE:  # spare rows, which are no part of the table, count too
            assert missed - 1e-9 <= found[ranks] <= 1.1 * missed + 1e-9
        else:
            assert found[ranks] == pytest.approx(missed, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("scheme", "shape"), CASES)
def test_the_size_is_that_of_the_factors(scheme, shape):
    ranks = scheme.within(shape, (2,) * scheme.num_ranks())
    found = scheme.fit(rng.normal(size=shape), ranks)
    arrays = found.cores if isinstance(scheme, TrainScheme) else (found.first, found.positions, found.last)
    assert scheme.size(shape, ranks) == sum(each.size for each in arrays)
    unfolded = scheme.unfoldings(rng.normal(size=shape))
    assert len(unfolded) == scheme.num_ranks()
    assert all(matrix.size >= math.prod(shape) for matrix in unfolded)


@pytest.mark.parametrize(("shape", "rank"), [((3, 3, 16, 24), 5), ((3, 8, 8), 3), ((2, 2, 6, 5), 2)])
def test_a_kernel_of_few_terms_is_found_again_the_same_way_each_time(shape, rank):
    kernel = sum_of_products(shape, rank)
    first, second = (CANONICAL.fit(kernel, (rank,)) for _ in range(2))
    np.testing.assert_allclose(first.product(), kernel, atol=1e-4 * np.abs(kernel).max())
    np.testing.assert_array_equal(first.product(), second.product())
    lengths = [np.linalg.norm(each, axis=axis) for each, axis in ((first.first, 0), (first.last, 1))]
    np.testing.assert_allclose(*lengths)
    np.testing.assert_allclose(lengths[0], np.linalg.norm(first.positions.reshape(-1, rank), axis=0))


def test_the_last_factor_is_the_best_for_the_inputs_given_the_others():
    kernel = rng.normal(size=(3, 3, 6, 5))
    x = patches(kernel)
    plain, fitted = (CANONICAL.fit(kernel, (6,), gram) for gram in (None, x.T @ x))
    np.testing.assert_allclose(
        fitted.first / np.linalg.norm(fitted.first, axis=0), plain.first / np.linalg.norm(plain.first, axis=0)
    )
    read = x @ flat(fitted.positions[..., None, :] * fitted.first)
    best = np.linalg.lstsq(read, x @ flat(kernel), rcond=None)[0]
    np.testing.assert_allclose(fitted.last, best, rtol=1e-4, atol=1e-6)
    missed = [np.linalg.norm(x @ flat(kernel - each.product())) for each in (plain, fitted)]
    assert missed[1] < 0.9 * missed[0]


@pytest.mark.parametrize(("scheme", "shape"), CASES)
def test_kernels_that_are_zero_or_of_rank_one(scheme, shape):
    zero, one = np.zeros(shape), np.ones(shape)
    for rank in (1, 2):
        ranks = scheme.within(shape, (rank,) * scheme.num_ranks())
        found = scheme.fit(zero, ranks)
        arrays = found.cores if isinstance(scheme, TrainScheme) else (found.first, found.positions, found.last)
        np.testing.assert_array_equal(found.product(), zero)
        assert sum(each.any() for each in arrays) == len(arrays) - 1, "so that the one that is zero still learns"
        assert scheme.lost_at(zero, ranks) == 0
        if not (scheme is TABLE and rank == 1):  # whose spare rows are not those of ones
            np.testing.assert_allclose(scheme.fit(one, ranks).product(), one, atol=1e-6)


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="NaN or infinities"):
        TRAIN.fit(np.full((8, 8), np.nan), (1, 1))
    with pytest.raises(ValueError, match="NaN or infinities"):
        CANONICAL.fit(np.full((3, 8, 8), np.inf), (1,))


def test_without_tensorly_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorly", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'keras_slim\[cp\]'"):
        CANONICAL.fit(rng.normal(size=(3, 4, 4)), (2,))
