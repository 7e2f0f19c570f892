"""Ranks layer by layer, without a budget for the whole."""

import numbers

from keras_slim.factorization import evbmf_rank, singular_values
from keras_slim.identifiers import Registry
from keras_slim.validation import check_count, check_share


class RankRule:
    """Says what ranks the factors of a layer have.

    For one of your own, derive from it and define `ranks`.
    """

    alias = ""
    sees_data = True
    """Whether it is told what data tells of a layer."""

    def ranks(self, kernel, scheme, gram) -> tuple[int, ...] | None:
        """Returns the ranks of a kernel in a scheme, or `None` if it is to stay whole.

        Args:
            kernel: Array of shape `(*positions, inputs, outputs)`; of attention, `keras_slim.factorization.Heads`. With
                data, outputs are as a batch normalization behind hands them on.
            scheme: A `keras_slim.factorization.Scheme` that fits it, or one with the same methods.
            gram: Mean of `x x'` over what it reads, if there is data.
        """
        raise NotImplementedError

    def why_none(self, schemes: dict) -> str:
        """Returns why a layer stays whole for which `ranks` returns `None` in all schemes, a phrase.

        Args:
            schemes: The schemes that were tried, by name.
        """
        return "its rule for ranks leaves it whole"

    def get_config(self) -> dict:
        """Returns the constructor's arguments, as plain values."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict) -> "RankRule":
        """Returns a rule made with the arguments of `get_config`."""
        return cls(**config)


rank_rules = Registry("rule for ranks", RankRule)


@rank_rules.register("energy")
class Energy(RankRule):
    """Keeps a share of each layer's response.

    It is a share of the sum of squares, on the data if there is any.

    Args:
        share: The share, above 0 and at most 1.
    """

    def __init__(self, share: float = 0.95):
        self.share = check_share(share, "share", "Energy", one=True)

    def ranks(self, kernel, scheme, gram):
        full = scheme.full(kernel.shape)
        enough = [ranks for ranks, lost in scheme.lost(kernel, gram) if lost <= 1 - self.share]
        return min(enough, key=lambda ranks: scheme.size(kernel.shape, ranks), default=full)


@rank_rules.register("evbmf")
class EVBMF(RankRule):
    """Takes what is no noise in a layer's kernel.

    There is no share and no threshold to guess, and no look at data. It cuts deep, and leaves whole what has no signal
    of low rank, such as a kernel that is not trained.

    Args:
        weaken: Share of the ranks it would take away that stay, from 0 to below 1.

    Reference:
        Kim et al. 2015, arXiv 1511.06530, section 3.2; Nakajima et al. 2013, JMLR 14.
    """

    sees_data = False

    def __init__(self, weaken: float = 0.0):
        self.weaken = check_share(weaken, "weaken", "EVBMF", zero=True)

    def ranks(self, kernel, scheme, gram):
        found = []
        for unfolding, full in zip(scheme.unfoldings(kernel), scheme.full(kernel.shape), strict=True):
            matrices = unfolding.reshape(-1, *unfolding.shape[-2:])  # several share a rank in attention
            rank = max(evbmf_rank(singular_values(each), each.shape) for each in matrices)
            if rank == 0:
                return None
            found.append(round(rank + self.weaken * (full - rank)))
        return scheme.within(kernel.shape, tuple(found))

    def why_none(self, schemes):
        return "its kernel has no signal of low rank"


class _Given(RankRule):
    """Takes the ranks that it is given, as far as they go."""

    def __init__(self, ranks):
        self.given = ranks

    def ranks(self, kernel, scheme, gram):
        given = (self.given,) * scheme.num_ranks() if isinstance(self.given, int) else self.given
        if len(given) != scheme.num_ranks():
            return None
        return scheme.within(kernel.shape, given)

    def why_none(self, schemes):
        wanted = " or ".join(f"{scheme.num_ranks()} for {name!r}" for name, scheme in schemes.items())
        return f"its ranks are {self.given}, and there have to be {wanted}"


def read_rule(option, name: str, owner: str) -> RankRule | None:
    """Returns the rule that an option stands for; a rank, or a tuple of them, is one."""
    if option is None:
        return None
    if isinstance(option, numbers.Number):
        return _Given(check_count(option, name, owner))
    if isinstance(option, tuple | list):
        return _Given(tuple(check_count(each, name, owner) for each in option))
    return rank_rules.get(option, name, owner)
