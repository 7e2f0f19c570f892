"""Several criteria at once."""

import numpy as np

from keras_slim.errors import invalid_argument
from keras_slim.scoring.criteria.base import Criterion, criteria

NEEDS = ("nothing", "inputs", "targets")


@criteria.register("product")
class Product(Criterion):
    """Scores a unit by the geometric mean of its scores by other criteria.

    A unit that any of them finds dispensable goes. Needs what they need, and takes a pass over the data for each.
    The root leaves the order of the product as it is, and its spread like that of one criterion; the sign stays.

    Args:
        factors: The criteria, as `plan_pruning` takes them. Defaults to `("taylor", "redundancy")`: what the loss would
            lose, as far as other units cannot make up for it.

    Example:

    >>> import keras_slim as slim
    >>> slim.scoring.Product(("l2", "std_activation")).needs
    'inputs'
    """

    def __init__(self, factors=("taylor", "redundancy")):
        if isinstance(factors, str) or not factors:
            expected = "a list of at least one criterion"
            raise ValueError(invalid_argument("factors", "Product", expected=expected, received=factors))
        self.factors = list(factors)
        self._members()  # raises here what is wrong with them

    @property
    def needs(self):
        """What the most demanding of the criteria needs."""
        return max((member.needs for member in self._members()), key=NEEDS.index)

    def score(self, graph, data=None):
        product = np.prod([member.score(graph, data) for member in self._members()], axis=0)
        return np.sign(product) * np.abs(product) ** (1 / len(self.factors))

    def get_config(self):
        return {"factors": [each if isinstance(each, str) else criteria.serialize(each) for each in self.factors]}

    def _members(self):
        return [criteria.get(each, "factors", "Product") for each in self.factors]
