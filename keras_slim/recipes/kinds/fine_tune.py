"""Training on."""

import dataclasses

from keras_slim.recipes.base import State, steps
from keras_slim.recipes.training import Training
from keras_slim.validation import check_count


@steps.register("fine_tune")
@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTune(Training):
    """Trains the model on, which makes up for what steps before have cost.

    Zeros stay zero and shared values shared, if they came before. A layer that is left alone is frozen meanwhile.

    Args:
        epochs: Epochs of `fit`, at least 1.
    """

    epochs: int

    def __post_init__(self):
        check_count(self.epochs, "epochs", "step `fine_tune`")
        super().__post_init__()

    def run(self, state, place):
        return State(self.fit(state, place), state.holding)
