"""The rise of the loss itself."""

import numpy as np

from keras_slim.scoring.criteria.base import Criterion, criteria
from keras_slim.scoring.leave_one_out import loss_rises


@criteria.register("oracle")
class Oracle(Criterion):
    """Scores a unit by how much the loss rises when it alone is removed.

    Needs inputs and targets, and a compiled model. It is the ground truth by which the other criteria are judged
    (`keras_slim.scoring.rank_correlation`), and slow: it runs the layers behind each unit once for every unit. The
    score is negative where the loss falls.

    Args:
        verbose: 1 shows a progress bar for each batch. Defaults to 0.

    Reference: Molchanov et al. 2016, arXiv 1611.06440, section 2.2, "oracle-loss".
    """

    needs = "targets"

    def __init__(self, verbose=0):
        self.verbose = verbose

    def score(self, graph, data=None):
        return loss_rises(graph, np.arange(graph.num_units), data, self.verbose)

    def get_config(self):
        return {"verbose": self.verbose}
