"""Training a dense network, a sparse one, and a dense one again."""

import numpy as np

from keras_slim.callbacks.arguments import check_ignore, check_sparsity
from keras_slim.callbacks.mask_callback import MaskCallback
from keras_slim.callbacks.resuming import is_in_fit
from keras_slim.errors import invalid_argument
from keras_slim.optimizer_slots import rate_of
from keras_slim.plain_values import plain
from keras_slim.sparsity.magnitude import magnitude_masks
from keras_slim.sparsity.masks import Masks
from keras_slim.sparsity.patterns import patterns
from keras_slim.validation import check_count, check_positive

DENSE, SPARSE, REDENSE = range(3)
NAMES = ("dense", "sparse", "dense again")


class DenseSparseDense(MaskCallback):
    """Trains dense, then sparse, then dense again, for a better optimum.

    After `dense_epochs`, the smallest weights of each kernel are set to zero and held there, after every step; after
    `sparse_epochs` more they are free again, starting from zero, with a smaller learning rate. Neither the architecture
    nor the cost of inference changes. Whether it helps, `keras_slim.sparsity.compare` tells, beside a dense run of as
    many epochs.

    The logs of each epoch hold `dsd_phase` (0 dense, 1 sparse, 2 dense again), `sparsity` and `learning_rate`.

    Args:
        sparsity: Share of zeros of each kernel while it is sparse, 0.25 to 0.5 in the paper; or a dictionary of layer
            names to shares, which leaves all other layers dense. Defaults to 0.3, or to what the pattern demands.
        dense_epochs: Epochs before; 0 for a network that is trained already.
        sparse_epochs: Epochs with zeros.
        redense_epochs: Epochs after that. If `fit` has more epochs than all of these, the last phase goes on.
        repeats: How often the last two phases are gone through; 2 is dense, sparse, dense, sparse, dense.
        sparse_rate: What the learning rate is multiplied by while it is sparse, relative to that of the first phase.
        redense_rate: The same for the phase after. If both are 1, the rate is left alone; else it is what it was again
            after `fit`; after one that was interrupted, when the next with this callback begins, unless it was set
            since. A callback that sets the rate itself, such as `LearningRateScheduler`, goes before.
        pattern: Which weights go together, as in `keras_slim.sparsity.magnitude_masks`.
        ignore: Names of layers to leave dense.
        skip_first_convolution: Whether the first convolution is left dense, as in the paper.
        verbose: 0 says nothing, 1 says one line per phase, and before training if the phases do not fill `fit`.

    Attributes:
        masks: The `keras_slim.sparsity.Masks` that are held now, or were when `fit` ended; `None` before it.

    Raises:
        ValueError: If an argument is out of range; in `fit`, before training starts, if it has fewer epochs than the
            phases, or the learning rate is a schedule and should be multiplied.
        UnsupportedLayerError: In `fit`, before training starts, if there is nothing to prune.

    Reference:
        Han et al. 2017, "DSD: Dense-Sparse-Dense Training for Deep Neural Networks" (arXiv 1607.04381).

    Example:

    >>> import keras, keras_slim as slim, numpy as np
    >>> x, y = np.random.rand(64, 4), np.random.rand(64, 1)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> dsd = slim.callbacks.DenseSparseDense(0.25, dense_epochs=2, sparse_epochs=1, redense_epochs=1, verbose=0)
    >>> history = model.fit(x, y, epochs=4, verbose=0, callbacks=[dsd])
    >>> history.history["sparsity"]
    [0.0, 0.0, 0.25, 0.0]
    """

    def __init__(
        self,
        sparsity: float | dict[str, float] | None = None,
        dense_epochs: int = 0,
        sparse_epochs: int = 1,
        redense_epochs: int = 1,
        *,
        repeats: int = 1,
        sparse_rate: float = 1.0,
        redense_rate: float = 0.1,
        pattern="single",
        ignore=(),
        skip_first_convolution: bool = True,
        verbose: int = 1,
    ):
        super().__init__()
        owner = type(self).__name__
        self.pattern = patterns.get(pattern, "pattern", owner)
        self.sparsity = check_sparsity(sparsity, self.pattern, "layer", owner, default=0.3)
        self.dense_epochs = check_count(dense_epochs, "dense_epochs", owner, minimum=0)
        self.sparse_epochs = check_count(sparse_epochs, "sparse_epochs", owner)
        self.redense_epochs = check_count(redense_epochs, "redense_epochs", owner)
        self.repeats = check_count(repeats, "repeats", owner)
        self.sparse_rate = check_positive(sparse_rate, "sparse_rate", owner)
        self.redense_rate = check_positive(redense_rate, "redense_rate", owner)
        self.ignore = check_ignore(ignore, owner)
        self.skip_first_convolution = skip_first_convolution
        self.verbose = verbose
        self._last_set: tuple | None = None  # the optimizer, and the rate it had when an epoch began

    def set_params(self, params):
        super().set_params(params)
        if self._last_set and is_in_fit(self):  # the `fit` before was interrupted; `BackupAndRestore` is yet to begin
            optimizer, rate = self._last_set
            if rate_of(optimizer) == rate:
                self._multiply_rate(optimizer, 1 / self._rates[self._phase])
            self._last_set = None

    def on_train_begin(self, logs=None):
        self._phase = DENSE
        if (self.sparse_rate, self.redense_rate) != (1, 1):
            self._check_rate()
        super().on_train_begin(logs)

    def _begin(self, epoch):
        needed, given = len(self._phases()), self.params["epochs"] - epoch
        if given < needed:
            received = {
                name: getattr(self, name) for name in ("dense_epochs", "sparse_epochs", "redense_epochs", "repeats")
            }
            raise ValueError(
                f"`{type(self).__name__}` has more epochs than `fit`. Expected at least {needed} epochs in `fit`. "
                f"Received {given} of them, and {received}. Train for more epochs, or shorten the phases."
            )
        if given > needed and self.verbose:
            print(
                f"The phases of `{type(self).__name__}` take {needed} epochs, and `fit` has {given}: the last phase, "
                f"{NAMES[REDENSE]}, goes on for the other {given - needed}."
            )

    def _change(self, epoch):
        phases = self._phases()
        phase = phases[min(epoch - self._first_epoch, len(phases) - 1)]
        if phase != self._phase:
            self._enter(phase, epoch)
        self._last_set = self.model.optimizer, rate_of(self.model.optimizer)

    def _known(self, epoch):
        return {**super()._known(epoch), "dsd_phase": self._phase, "learning_rate": rate_of(self.model.optimizer)}

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        self._multiply_rate(self.model.optimizer, 1 / self._rates[self._phase])
        self._last_set = None

    def _state(self):
        return {"phase": np.array(self._phase)}

    def _take_up(self, state):
        self._phase = int(state["phase"])

    def get_config(self) -> dict:
        """Returns the arguments as plain values."""
        return plain(
            {
                "sparsity": self.sparsity,
                "dense_epochs": self.dense_epochs,
                "sparse_epochs": self.sparse_epochs,
                "redense_epochs": self.redense_epochs,
                "repeats": self.repeats,
                "sparse_rate": self.sparse_rate,
                "redense_rate": self.redense_rate,
                "pattern": patterns.serialize(self.pattern),
                "ignore": self.ignore,
                "skip_first_convolution": self.skip_first_convolution,
                "verbose": self.verbose,
            }
        )

    def _phases(self):
        """Returns the phase of each epoch."""
        again = [SPARSE] * self.sparse_epochs + [REDENSE] * self.redense_epochs
        return [DENSE] * self.dense_epochs + again * self.repeats

    def _enter(self, phase, epoch):
        rates = self._rates
        self._multiply_rate(self.model.optimizer, rates[phase] / rates[self._phase])
        self._phase = phase
        if phase == SPARSE:
            self._hold(magnitude_masks(self._weights, self._shares, pattern=self.pattern))
        else:
            self._hold(Masks.ones(self._weights))
        if self.verbose:
            rate = rate_of(self.model.optimizer)
            print(f"\nEpoch {epoch + 1}: {NAMES[phase]}, sparsity {self.masks.sparsity:.3f}, learning rate {rate:.3g}")

    @property
    def _rates(self):
        """What the learning rate of the first phase is multiplied by, in each phase."""
        return 1.0, self.sparse_rate, self.redense_rate

    def _multiply_rate(self, optimizer, factor):
        if factor != 1:
            optimizer.learning_rate = rate_of(optimizer) * factor

    def _check_rate(self):
        """Raises `ValueError` if the learning rate cannot be set."""
        optimizer = self.model.optimizer
        try:
            optimizer.learning_rate = rate_of(optimizer)
        except (TypeError, AttributeError) as error:
            expected = "1, since the learning rate of the optimizer is a schedule, which cannot be multiplied"
            received = {"sparse_rate": self.sparse_rate, "redense_rate": self.redense_rate}
            hint = "Or compile with a number for `learning_rate`."
            raise ValueError(
                invalid_argument("redense_rate", type(self).__name__, expected=expected, received=received, hint=hint)
            ) from error
