"""A model of Keras 3 from one that was trained with TFMOT, checked to answer alike."""

import dataclasses
import os
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_slim.errors import ExportError, SlimWarning, invalid_argument, one_of
from keras_slim.export.agreement import LEAST_DB_OF_HALF_PRECISION, OutputAgreement, compare
from keras_slim.export.precision import is_float32
from keras_slim.export.verification import check_tolerance
from keras_slim.migration.asking import asked, check_model_path
from keras_slim.migration.building import CLUSTERING, PRUNING, QUANTIZATION, Building
from keras_slim.sharing import Codes
from keras_slim.sparsity import Masks
from keras_slim.sparsity.kernels import kernels, weights_ending_in

KINDS = (PRUNING, CLUSTERING, QUANTIZATION)
BATCH_SIZE = 32

# What is computed in the same way is above 100 dB, and differs in the order of summation alone. Rounded activations may
# fall on the other side of the middle between two steps, and where they are rounded no more, all of them change.
LEAST_DB = 80.0
LEAST_DB_OF_ROUNDED = 25.0
LEAST_DB_WITHOUT_ROUNDING = 10.0


@dataclasses.dataclass(frozen=True)
class Migration:
    """A model of Keras 3 that stands for an old one, and what is known of it.

    Args:
        model: The model, not compiled.
        wrapped: What TFMOT had put around which layers: `"pruning"`, `"clustering"`, `"quantization"` to lists of
            names.
        kept: Which of these go on, as `keep` of `migrate`.
        masks: Which weights were kept, to train on with `keras_slim.callbacks.HoldMasks(masks)`: of wrappers, or where
            there are none, what is not zero. `None` if `keep` has no `"pruning"`.
        codes: Which weights share a value. `None` if `keep` has no `"clustering"`.
        samples: Number of samples that both models have answered.
        drawn: Whether the samples were random numbers.
        outputs: One `keras_slim.export.OutputAgreement` for each output.
        versions: Versions of TensorFlow and TFMOT that read the old model.
    """

    model: keras.Model
    wrapped: Mapping[str, list[str]]
    kept: tuple[str, ...]
    masks: Masks | None
    codes: Codes | None
    samples: int
    drawn: bool
    outputs: tuple[OutputAgreement, ...]
    versions: Mapping[str, str]

    @property
    def max_abs_error(self) -> float:
        """Largest absolute difference in any output."""
        return max(output.max_abs_error for output in self.outputs)

    @property
    def sqnr_db(self) -> float:
        """Signal-to-error ratio of the worst output, in decibels."""
        return min(output.sqnr_db for output in self.outputs)

    @property
    def bits(self) -> dict[str, int]:
        """Bits for `keras_slim.callbacks.WeightSharing` to train on with as many values, by path."""
        return {path: max(int(codes.max(initial=1)) - 1, 1).bit_length() for path, codes in (self.codes or {}).items()}

    def describe(self) -> str:
        """Returns a table in words: what was found, what became of it, and how far the answers are apart."""
        rows = [(kind, f"{len(names)} layers{self._fate(kind)}") for kind, names in self.wrapped.items()]
        if not rows:
            rows = [("wrappers", "none: a plain or stripped model")]
        if self.masks is not None:
            rows.append(("masks", f"{self.masks.sparsity:.1%} of {self.masks.size:,} weights are zero"))
        if self.codes is not None:
            rows.append(("codes", ", ".join(f"{path} {codes.max()} values" for path, codes in self.codes.items())))
        largest = max(output.max_abs for output in self.outputs)
        error = f"{self.max_abs_error:.3g}, where the largest answer is {largest:.3g}"
        rows.append(("answers", f"largest difference {error}: {self.sqnr_db:.1f} dB on {self._samples()}"))
        return "\n".join(f"{label:<14}{value}" for label, value in rows)

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers as plain Python values."""
        return {
            "wrapped": {kind: list(names) for kind, names in self.wrapped.items()},
            "kept": list(self.kept),
            "sparsity": None if self.masks is None else self.masks.sparsity,
            "values": {path: int(codes.max(initial=0)) for path, codes in (self.codes or {}).items()},
            "samples": self.samples,
            "drawn": self.drawn,
            "max_abs_error": self.max_abs_error,
            "sqnr_db": self.sqnr_db,
            "versions": dict(self.versions),
        }

    def _samples(self):
        return f"{self.samples} {'random ' if self.drawn else ''}samples"

    def _fate(self, kind):
        if kind == QUANTIZATION:
            if kind in self.kept:
                return ", layers with few bits now"
            return ", plain now: weights rounded, activations not"
        return ", plain now" if kind in (PRUNING, CLUSTERING) else ""


def migrate(
    path: str | os.PathLike,
    data: Any = None,
    keep: Iterable[str] = (),
    *,
    tolerance: float | None = None,
    python: str | os.PathLike | None = None,
) -> Migration:
    """Reads a model that was trained with TFMOT, as a plain Keras 3 model.

    The file is read by TFMOT and `tf_keras` in a process of its own. TFMOT's wrappers are taken away; what is inside
    becomes layers of Keras 3, with the same names and weights. Both models answer the same samples, and where they are
    too far apart, none is returned.

    Pruned and clustered weights are those that TFMOT's `strip_pruning` and `strip_clustering` leave: the zeros and the
    shared values are in them. Of a model with quantization wrappers, which TFMOT cannot strip, the rounded weights are
    taken, and activations are no longer rounded: the answers are near, not the same. With `keep=("quantization",)`, the
    model rounds as it did, with layers of keras_slim, to be trained on or exported with the ranges that it has.

    Args:
        path: A `.h5` or `.keras` file of `tf_keras`, or the folder of a SavedModel: Sequential or Functional, models
            inside it too.
        data: Samples for the check: an array, or a list or dictionary of arrays, one for each input. Defaults to 32
            random ones, with whole numbers where an `Embedding` reads them.
        keep: What goes on being held or rounded, of `"pruning"` (the result has `masks`), `"clustering"` (it has
            `codes`) and `"quantization"` (layers with few bits, and `Quantize` where activations are rounded).
        tolerance: Least signal-to-error ratio of the answers in decibels. Defaults to 80, to 20 for models of half
            precision, to 10 where activations are no longer rounded, and to 25 where they still are: a number that
            falls on the other side of the middle between two steps differs by one step.
        python: Path of a Python interpreter with TFMOT, such as that of the environment the model was trained in.
            Defaults to the one that runs.

    Returns:
        A `keras_slim.migration.Migration`: `model`, `masks`, `codes`, and how far the answers are apart.

    Raises:
        ValueError: If there is no such file, TFMOT cannot read it, an argument is not valid, or the samples do not fit.
        UnsupportedLayerError: If Keras 3 lacks layers of it. The message names all, with the reason.
        ExportError: If the two models do not answer alike.
        MissingExtraError: If TFMOT is not installed: `pip install 'keras_slim[tfmot]'`.

    Warns:
        SlimWarning: If the answers are nearly the same for all samples, so that their agreement proves little.

    Example:

    >>> import keras_slim as slim
    >>> found = slim.migrate("pruned.h5", keep=("pruning",))  # doctest: +SKIP
    >>> found.model.save("pruned.keras")  # doctest: +SKIP
    >>> hold = slim.callbacks.HoldMasks(found.masks)  # doctest: +SKIP
    """
    owner = "migrate"
    path, kept, tolerance = check_model_path(path), _checked_keep(keep, owner), check_tolerance(tolerance, owner)
    samples = None if data is None else _samples(data)
    with asked(path, samples, None if python is None else os.fspath(python)) as (answer, arrays):
        building = Building(answer["model"], answer["layers"], arrays, QUANTIZATION in kept)
        x, expected = ([arrays[each] for each in answer[which]] for which in ("samples", "answers"))
    outputs = _compared(building.model, x, expected)
    least = _least_db(building, kept) if tolerance is None else tolerance
    _check_agreement(path, outputs, least, len(x[0]), building)
    if len(x[0]) > 1 and not any(each.is_telling for each in outputs):
        warnings.warn(
            f"The answers of {path} hardly differ from sample to sample, so that their agreement proves little. Give "
            "typical samples as `data`.",
            SlimWarning,
            stacklevel=2,
        )
    return Migration(
        model=building.model,
        wrapped=building.wrapped,
        kept=kept,
        masks=_masks(building) if PRUNING in kept else None,
        codes=_codes(building) if CLUSTERING in kept else None,
        samples=len(x[0]),
        drawn=data is None,
        outputs=outputs,
        versions=answer["versions"],
    )


def _checked_keep(keep, owner):
    kept = (keep,) if isinstance(keep, str) else tuple(keep)
    for each in kept:
        if each not in KINDS:
            raise ValueError(invalid_argument("keep", owner, expected=f"some of {one_of(KINDS)[7:]}", received=keep))
    return kept


def _samples(data):
    """Returns the arrays in `data`, a flat list."""
    samples = [np.asarray(each) for each in keras.tree.flatten(data)]
    counts = {each.shape[:1] for each in samples}
    if len(counts) != 1 or counts == {()} or counts == {(0,)}:
        shapes = [each.shape for each in samples]
        expected = "arrays with as many samples, at least one, along their first axis"
        raise ValueError(invalid_argument("data", "migrate", expected=expected, received=shapes))
    return samples


def _compared(model, samples, expected):
    """Returns one `OutputAgreement` for each output."""
    rows = []
    with keras.device("cpu"):
        for start in range(0, len(samples[0]), BATCH_SIZE):
            batch = [each[start : start + BATCH_SIZE] for each in samples]
            is_one = isinstance(model, keras.Sequential)  # whose `input` Keras does not tell
            given = batch[0] if is_one else keras.tree.pack_sequence_as(model.input, batch)
            rows.append([keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(model(given, training=False))])
    answers = [np.concatenate(parts) for parts in zip(*rows, strict=True)]
    names = [f"output_{index}" for index in range(len(answers))] if len(answers) > 1 else ["output"]
    return tuple(compare(*each) for each in zip(names, expected, answers, strict=True))


def _least_db(building, keep):
    if QUANTIZATION in building.wrapped:
        return LEAST_DB_OF_ROUNDED if QUANTIZATION in keep else LEAST_DB_WITHOUT_ROUNDING
    return LEAST_DB if is_float32(building.model) else LEAST_DB_OF_HALF_PRECISION


def _check_agreement(path, outputs, least, count, building):
    failing = [each for each in outputs if not each.is_within(least)]
    if failing:
        listed = "; ".join(
            f"'{each.name}' reaches {each.sqnr_db:.1f} dB, its largest difference is {each.max_abs_error:.3g} where "
            f"the largest answer is {each.max_abs:.3g}"
            for each in failing
        )
        hint = (
            " Give typical samples as `data`, or keep=('quantization',)." if building.wrapped.get(QUANTIZATION) else ""
        )
        raise ExportError(
            f"The Keras 3 model does not answer like {path}. Expected at least {least:g} dB of signal to error on "
            f"{count} samples. Received: {listed}.{hint} Look at the numbers with tolerance=-math.inf."
        )


def _masks(building):
    """Returns the masks of wrappers, or where there are none, of the zeros that are there."""
    found = {weight.path: path for path, weight in kernels(building.model, trained_only=False).items()}
    if not building.masks:
        return Masks.nonzero(building.model)
    return Masks({found[path]: mask for path, mask in building.masks.items() if path in found})


def _codes(building):
    """Returns which weights share a value, code 0 for zeros."""
    found = weights_ending_in(("kernel", "embeddings"), building.model, trained_only=False)
    return Codes({path: _code(weight.numpy()) for path, weight in found.items() if weight.path in building.shared})


def _code(values):
    distinct, codes = np.unique(values, return_inverse=True)
    codes = codes.reshape(values.shape) + 1
    zero = np.flatnonzero(distinct == 0)
    if zero.size:
        codes = np.where(codes == zero[0] + 1, 0, codes - (codes > zero[0] + 1))
    return codes
