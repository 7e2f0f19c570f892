"""Which units go, and removing them.

`plan_pruning` decides and changes nothing; a `PruningPlan` is data that can be read, saved and replayed; `shrink`
carries it out for real and `mask` at full size; `prune` does both steps in one. A `Calibration` says how a cut is made
up for with data. A `Trajectory` tells how the search for the smallest good network went.
"""

from keras_slim.pruning.baselines import prune_layer_by_layer, reinitialized
from keras_slim.pruning.calibration import Calibration
from keras_slim.pruning.costs import Cost
from keras_slim.pruning.file_measures import FileBytes, FileLatency, PhoneLatency
from keras_slim.pruning.guards import Guards
from keras_slim.pruning.measures import Macs, Measure, Params, Units
from keras_slim.pruning.plan import GroupPlan, PruningPlan
from keras_slim.pruning.prune import plan_pruning, prune
from keras_slim.pruning.shrink import mask, shrink
from keras_slim.pruning.trajectory import Trajectory, TrajectoryPoint

__all__ = [
    "Calibration",
    "Cost",
    "FileBytes",
    "FileLatency",
    "GroupPlan",
    "Guards",
    "Macs",
    "Measure",
    "Params",
    "PhoneLatency",
    "PruningPlan",
    "Trajectory",
    "TrajectoryPoint",
    "Units",
    "mask",
    "plan_pruning",
    "prune",
    "prune_layer_by_layer",
    "reinitialized",
    "shrink",
]
