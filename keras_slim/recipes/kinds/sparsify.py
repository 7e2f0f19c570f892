"""Setting single weights to zero."""

import dataclasses

from keras_slim.callbacks.gradual_pruning import GradualPruning
from keras_slim.callbacks.hold_masks import HoldMasks
from keras_slim.recipes.base import State, steps
from keras_slim.recipes.training import Training
from keras_slim.schedules import schedules
from keras_slim.sparsity.kernels import kernels
from keras_slim.sparsity.magnitude import magnitude_masks


@steps.register("sparsify")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Sparsify(Training):
    """Sets the smallest weights to zero, and keeps them there.

    Without `epochs` it is `keras_slim.sparsity.magnitude_masks`; with them a `keras_slim.callbacks.GradualPruning` in a
    `fit`. Steps that train later hold the zeros. By layer, `sparsity` may differ.

    Args:
        sparsity: Share of zeros of each kernel. Defaults to 0.9, or to what the pattern demands.
        scope: `"layer"` ranks the weights of each kernel, `"global"` those of all kernels together.
        pattern: What goes together: `"single"`, `"block"`, `"n_of_m"`.
        schedule: How fast it goes, with epochs: `"cubic"`, `"linear"`, `"cosine"`, `"constant"`, `"polynomial"`.
    """

    sparsity: float | None = None
    scope: str = "layer"
    pattern: str = "single"
    schedule: str = "cubic"

    by_layer = ("sparsity",)
    spares_small = True

    def __post_init__(self):
        super().__post_init__()
        self._callback(self.sparsity)

    def check(self, place):
        super().check(place)
        if place.options:
            self._callback({path: each["sparsity"] for path, each in place.options.items()})

    def _callback(self, sparsity, ignore=()):
        schedule = schedules.get(self.schedule, "schedule", "step `sparsify`")
        return GradualPruning(sparsity, schedule, self.scope, pattern=self.pattern, ignore=ignore, verbose=0)

    @property
    def undoes(self):
        return ("share",) if self.epochs else ()

    def weaker(self, strength):
        weaker = self._callback(self.sparsity)
        if not strength or weaker.pattern.sparsity is not None:
            return None
        return dataclasses.replace(self, sparsity=weaker.sparsity * strength)

    def weaker_options(self, options, strength):
        return {name: value * strength if name == "sparsity" else value for name, value in options.items()}

    def run(self, state, place):
        default = self._callback(self.sparsity).sparsity
        if self.epochs:
            every = kernels(state.model)
            sparsities = place.by_weight(state.model, every, "sparsity", default, trained_only=True)
            callback = self._callback(sparsities)
            if self.scope == "global":
                trained = place.trained(state.model, every)
                callback = self._callback(default, ignore=[path for path in trained if path not in sparsities])
            return State(self.fit(state, place, callback), HoldMasks)
        model = place.copy(state.model)
        every = kernels(model)
        sparsities = place.by_weight(model, every, "sparsity", default, trained_only=False)
        weights = {path: every[path] for path in sparsities}
        magnitude_masks(weights, sparsities, self.scope, self.pattern).apply(model)
        return State(model, state.holding or HoldMasks)
