"""Scale of the batch norm that follows."""

import keras
import numpy as np
from keras import ops

from keras_slim.scoring.averaging import mean_by_unit
from keras_slim.scoring.criteria.base import Criterion, criteria


@criteria.register("bn_scale")
class BatchNormScale(Criterion):
    """Scores a unit by the absolute scale of the batch norm that follows.

    Needs no data, but a batch norm with a scale behind every layer that can be cut. `s_i = |gamma_i|`.

    Reference: Liu et al. 2017, arXiv 1708.06519, section 3.
    """

    def score(self, graph, data=None):
        scales = [
            (slot.units, np.abs(ops.convert_to_numpy(slot.variable)))
            for slot in graph.slots
            if isinstance(slot.layer, keras.layers.BatchNormalization) and slot.variable is slot.layer.gamma
        ]
        covered = np.isin(np.arange(graph.num_units), np.concatenate([[-1], *(units for units, _ in scales)]))
        missing = [group.name for group in graph.groups if not covered[group.first : group.first + group.size].all()]
        if missing:
            raise ValueError(
                "Criterion 'bn_scale' needs a batch norm with a scale behind every layer that can be cut. "
                f"There is none behind: {', '.join(missing)}. Name them in `ignore`, or choose another criterion."
            )
        return mean_by_unit(graph.num_units, scales)
