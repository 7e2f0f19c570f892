"""Kernels as products: exact at full rank, and what is lost is what the arithmetic of patches says."""

import numpy as np
import pytest

from keras_slim.factorization import SCHEMES, LowRank

rng = np.random.default_rng(0)
SHAPES = [(5, 7), (3, 4, 6), (3, 3, 4, 6), (2, 1, 3, 3, 5)]
CASES = [
    pytest.param(scheme, shape, id=f"{name}-{len(shape) - 2}d")
    for name, scheme in SCHEMES.items()
    for shape in SHAPES
    if scheme.fits(len(shape) - 2)
]


def patches(kernel, rows=400):
    """Inputs of a kernel with some directions much stronger than others, flat."""
    size = kernel.size // kernel.shape[-1]
    return rng.normal(size=(rows, size)) @ (rng.normal(size=(size, size)) * np.geomspace(1, 0.05, size)[:, None])


def flat(kernel):
    return kernel.reshape(-1, kernel.shape[-1])


def written_out(factors, num_positions):
    """The product of factors, position by position."""
    first, second, last = factors.first, factors.second, factors.last
    whole = [max(a, b) for a, b in zip((first if first is not None else second).shape, second.shape, strict=True)]
    rows = []
    for place in np.ndindex(*whole[:num_positions]):
        matrix = np.eye((first if first is not None else second).shape[-2])
        for each in (first, second):
            if each is not None:
                own = tuple(min(p, n - 1) for p, n in zip(place, each.shape[:num_positions], strict=True))
                matrix = matrix @ each[own]
        rows.append(matrix if last is None else matrix @ last)
    return np.stack(rows)


@pytest.mark.parametrize(("scheme", "shape"), CASES)
@pytest.mark.parametrize("known", [False, True])
def test_full_rank_is_exact(scheme, shape, known):
    kernel = rng.normal(size=shape)
    x = patches(kernel)
    factors = scheme.fit(kernel, scheme.full(shape), x.T @ x if known else None)
    np.testing.assert_allclose(factors.product(), kernel, atol=1e-7 if known else 1e-10)
    np.testing.assert_allclose(flat(factors.product()), flat(written_out(factors, len(shape) - 2)), atol=1e-10)


@pytest.mark.parametrize(("scheme", "shape"), CASES)
@pytest.mark.parametrize("known", [False, True])
def test_what_is_lost_is_what_the_responses_miss(scheme, shape, known):
    kernel = rng.normal(size=shape)
    x = patches(kernel) if known else np.eye(flat(kernel).shape[0])
    gram = x.T @ x if known else None
    found = dict(scheme.lost(kernel, gram))
    for ranks in list(found)[:: max(1, len(found) // 4)]:
        product = scheme.fit(kernel, ranks, gram).product()
        missed = ((x @ flat(kernel) - x @ flat(product)) ** 2).sum() / ((x @ flat(kernel)) ** 2).sum()
        assert found[ranks] == pytest.approx(missed, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("scheme", "shape"), CASES)
def test_factors_for_the_inputs_miss_less_of_the_responses(scheme, shape):
    kernel = rng.normal(size=shape)
    x = patches(kernel)
    ranks = tuple(max(1, rank // 2) for rank in scheme.full(shape))
    plain, fitted = (scheme.fit(kernel, ranks, gram).product() for gram in (None, x.T @ x))
    missed = [((x @ flat(kernel - product)) ** 2).sum() for product in (plain, fitted)]
    assert missed[1] < 0.9 * missed[0]


@pytest.mark.parametrize(("scheme", "shape"), CASES)
def test_shapes_are_those_of_the_factors(scheme, shape):
    ranks = tuple(max(1, rank // 2) for rank in scheme.full(shape))
    factors = scheme.fit(rng.normal(size=shape), ranks)
    found = [each.shape for each in (factors.first, factors.second) if each is not None]
    if factors.last is not None:
        found.append((*[1] * (len(shape) - 2), *factors.last.shape))
    assert found == scheme.shapes(shape, ranks)
    assert len(ranks) == scheme.num_ranks()


def test_a_kernel_that_is_a_product_is_found_again():
    hidden = np.einsum(
        "si,abij,jt->abst", rng.normal(size=(8, 3)), rng.normal(size=(3, 3, 3, 4)), rng.normal(size=(4, 9))
    )
    np.testing.assert_allclose(SCHEMES["tucker"].fit(hidden, (3, 4)).product(), hidden, atol=1e-8)
    noisy = hidden + rng.normal(size=hidden.shape)
    missed = ((SCHEMES["tucker"].fit(noisy, (3, 4)).product() - noisy) ** 2).sum()
    by_inputs = LowRank(np.moveaxis(noisy, 2, 0).reshape(8, -1)).lost()[3]
    by_outputs = LowRank(noisy.reshape(-1, 9)).lost()[4]
    assert max(by_inputs, by_outputs) < missed < by_inputs + by_outputs


@pytest.mark.parametrize("kernel", [np.zeros((3, 3, 4, 5)), np.ones((3, 3, 4, 5))])
@pytest.mark.parametrize("name", SCHEMES)
def test_kernels_of_rank_0_and_1(kernel, name):
    scheme = SCHEMES[name]
    for gram in (None, np.zeros((36, 36)), np.ones((36, 36))):
        factors = scheme.fit(kernel, (1,) * scheme.num_ranks(), gram)
        np.testing.assert_allclose(factors.product().sum(), kernel.sum(), rtol=1e-6, atol=1e-9)
