"""The rank of a noisy matrix, by empirical variational Bayes: no threshold to guess."""

import itertools
import math

import numpy as np
import scipy.optimize


def evbmf_rank(singular_values: np.ndarray, shape: tuple[int, int]) -> int:
    """Returns the rank of what is no noise in a matrix.

    0 means that it has no signal of low rank, so leave it whole. The global solution of empirical variational Bayesian
    matrix factorization: singular values above `sqrt(M v x)` are kept, where the noise variance `v` is the minimum of
    the free energy. For compressing networks see Kim et al. 2015, arXiv 1511.06530.

    Args:
        singular_values: All singular values of the matrix, falling.
        shape: Its shape. Its axes may be exchanged.

    Raises:
        ValueError: If there are not as many singular values as the shorter axis is long.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> matrix = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 80)) + rng.normal(size=(60, 80))
    >>> evbmf_rank(np.linalg.svd(matrix, compute_uv=False), matrix.shape)
    5

    Reference:
        Nakajima, Sugiyama, Babacan and Tomioka 2013, "Global analytic solution of fully-observed variational Bayesian
        matrix factorization", JMLR 14, section 5.
    """
    short, long = sorted(shape)
    squares = np.square(singular_values, dtype=float)
    if squares.shape != (short,):
        raise ValueError(f"A matrix of shape {tuple(shape)} has {short} singular values, received {squares.size}.")
    if not squares.any():
        return 0
    alpha = short / long
    threshold = _threshold(alpha)
    variance = _noise_variance(squares, long, alpha, threshold)
    return int((squares > long * variance * threshold).sum())


def _threshold(alpha):
    """Returns the least `gamma^2 / (M v)` that is kept: (1 + tau)(1 + alpha / tau)."""
    root = scipy.optimize.brentq(lambda tau: _phi(tau) + _phi(tau / alpha), math.sqrt(alpha) * 1e-3, 1e3)
    return (1 + root) * (1 + alpha / root)


def _phi(z):
    return math.log1p(z) / z - 0.5


def _noise_variance(squares, long, alpha, threshold):
    """Returns the noise variance at which the free energy is least."""
    short = len(squares)
    most = min(math.ceil(short / (1 + alpha)) - 1, short)  # ranks above it are never kept
    rest = squares[most:]
    low = max(rest[0] / (long * threshold), rest.mean() / long) if len(rest) else 0.0
    high = squares.sum() / (short * long)
    low = max(low, high * 1e-12)
    if low >= high:
        return high

    def free_energy(log_variance):
        x = np.maximum(squares / (long * math.exp(log_variance)), 1e-300)
        kept = x[x > threshold]
        spread = kept - (1 + alpha)
        tau = (spread + np.sqrt(np.maximum(spread**2 - 4 * alpha, 0))) / 2
        return (x - np.log(x)).sum() + (np.log1p(tau) + alpha * np.log1p(tau / alpha) - tau).sum()

    # The free energy has a kink wherever a singular value is kept or not, so that one search may end in any valley.
    edges = np.log(squares[squares > 0]) - math.log(long * threshold)
    ends = np.unique(np.clip([math.log(low), *edges, math.log(high)], math.log(low), math.log(high)))
    best = min(
        (
            scipy.optimize.minimize_scalar(free_energy, bounds=pair, method="bounded")
            for pair in itertools.pairwise(ends)
            if pair[1] > pair[0]
        ),
        key=lambda found: found.fun,
    )
    return math.exp(best.x)
