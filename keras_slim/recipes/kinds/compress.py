"""A small file for the way."""

import dataclasses

from keras_slim.compression.saving import save_compressed
from keras_slim.recipes.base import State, Step, steps
from keras_slim.validation import check_choice


@steps.register("compress")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Compress(Step):
    """Writes the model to a file that is as small as its weights allow.

    It is `keras_slim.save_compressed`. What pays are zeros and shared values, so `sparsify` and `share` come before it.
    The model goes on as it is.

    Args:
        file: Name of the file.
        float16: Whether to round what is neither sparse nor shared.
    """

    file: str = "model.slim.h5"
    float16: bool = False

    ending = ".h5"

    def __post_init__(self):
        check_choice(self.float16, "float16", "step `compress`", (True, False))

    def check(self, place):
        if self.float16 and place.untouched:
            names = ", ".join(map(repr, sorted(place.untouched)))
            raise ValueError(
                f"Step `compress` with float16=True rounds the weights of all layers, and the recipe leaves {names} "
                "alone. Expected float16=False. Or tell in `layers` which steps leave them alone, without `compress`."
            )

    def weaker(self, strength):
        return dataclasses.replace(self, float16=False)

    def run(self, state, place):
        report = save_compressed(state.model, place.path(self.file), float16=self.float16)
        return State(state.model, state.holding, (), self.file, report)
