"""Finding a sparse network that trains on its own as well as the dense one."""

import numpy as np

from keras_slim.callbacks.arguments import check_ignore, check_ratios
from keras_slim.callbacks.mask_callback import MaskCallback
from keras_slim.callbacks.rewinding import Rewinding
from keras_slim.callbacks.saying import say
from keras_slim.errors import invalid_argument
from keras_slim.plain_values import plain
from keras_slim.sparsity.kernels import kernels, shares_by_kernel
from keras_slim.sparsity.magnitude import SCOPES, magnitude_masks
from keras_slim.sparsity.masks import Masks
from keras_slim.sparsity.ticket import Ticket
from keras_slim.sparsity.values import put_back
from keras_slim.validation import check_choice, check_count

CONTROLS = (None, "random_reinit", "random_mask")


class LotteryTicket(MaskCallback):
    """Finds a sparse network that trains from its first weights as the dense one does.

    The epochs of `fit` are divided into `rounds + 1` equal stretches. After each but the last, the smallest of the
    weights that are left are set to zero and held there, and all that is left goes back to what it was at the beginning
    of `fit`, or `rewind_to` steps after it: weights, biases, normalisation, the optimizer's state, its learning rate
    and count of steps, so that a schedule in the optimizer begins anew. What `fit` leaves is the sparsest network,
    trained.

    Beside it, `EarlyStopping`, `ReduceLROnPlateau` and `ModelCheckpoint(save_best_only=True)` start anew in each
    stretch. But a callback that stops training stops all of it, and `LearningRateScheduler` counts epochs from the
    beginning of `fit`: give the optimizer a schedule instead.

    Args:
        rounds: Number of times that weights are pruned and what is left goes back.
        ratio: Share of the weights left in a kernel that each round removes; or a dictionary of layer names to shares,
            which leaves all other layers dense. The paper removes 0.2 in dense layers, half of it in the last.
        rewind_to: Steps of the first stretch after which the moment lies that is gone back to; 0 is before the first.
            A step is a batch, whatever the optimizer makes of it. Where several are made in one execution, the first
            moment that is seen after as many.
        scope: `"layer"` ranks the weights of each kernel, `"global"` all of them together.
        control: What the result is to be compared with. `"random_reinit"` goes back to weights drawn anew in each
            round, which tells what their values are worth; layers that are not trained keep theirs. `"random_mask"`
            removes as many weights of each kernel at random, which tells what the choice is worth. The optimizer's
            state is the first one in any case; that of `ScheduleFreeAdamW` holds a copy of the first weights, so it
            does not go with weights drawn anew.
        ticket: A `keras_slim.sparsity.Ticket` to go on from: it is applied when `fit` begins, and the first stretch
            trains it. Optional.
        ignore: Names of layers to leave dense.
        skip_first_convolution: Whether the first convolution is left dense, unless it is named.
        seed: Seed of what the controls draw.
        verbose: 0 says nothing, 1 says one line per round.

    Attributes:
        masks: The `keras_slim.sparsity.Masks` that are held now, or were when `fit` ended; `None` before it.
        ticket: The `keras_slim.sparsity.Ticket` of the last stretch: its masks, and the weights it started from; `None`
            before there is one.
        tickets: One for each stretch, the densest first.
        rounds_done: One dictionary for each stretch: `round` (0 is before the first cut), `epoch` (as in
            `history.epoch`), `kept`, `density`, `history`, the values of each metric by epoch, and `logs`, the last.

    Raises:
        ValueError: If an argument is out of range; in `fit`, before training starts, if its epochs cannot be divided,
            or the first stretch has fewer steps than `rewind_to`.
        PlanMismatchError: In `fit`, before training starts, if the ticket is for another model.
        UnsupportedLayerError: In `fit`, before training starts, if there is nothing to prune, or weights should be
            drawn anew and the model is subclassed.
        RuntimeError: In `fit`, before training starts, if an optimizer of the model's own is not built.

    Reference:
        Frankle & Carbin 2019, "The Lottery Ticket Hypothesis" (arXiv 1803.03635); for `rewind_to`, Frankle et al. 2019,
        "Stabilizing the Lottery Ticket Hypothesis" (arXiv 1903.01611).

    Example:

    >>> import keras, keras_slim as slim, numpy as np
    >>> x, y = np.random.rand(64, 4), np.random.rand(64, 1)
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(8)])
    >>> model.compile("adam", "mse")
    >>> lottery = slim.callbacks.LotteryTicket(rounds=2, ratio=0.5, verbose=0)
    >>> history = model.fit(x, y, epochs=6, verbose=0, callbacks=[lottery])
    >>> [each["density"] for each in lottery.rounds_done]
    [1.0, 0.5, 0.25]
    >>> lottery.ticket
    Ticket(96 of 384 weights, density=0.2500)
    """

    def __init__(
        self,
        rounds: int,
        ratio: float | dict[str, float] = 0.2,
        rewind_to: int = 0,
        *,
        scope: str = "layer",
        control: str | None = None,
        ticket: Ticket | None = None,
        ignore=(),
        skip_first_convolution: bool = False,
        seed: int = 0,
        verbose: int = 1,
    ):
        super().__init__()
        owner = type(self).__name__
        self.rounds = check_count(rounds, "rounds", owner)
        self.scope = check_choice(scope, "scope", owner, SCOPES)
        self.ratio = check_ratios(ratio, self.scope, owner)
        self.control = check_choice(control, "control", owner, CONTROLS)
        self._given = _check_ticket(ticket, owner)
        self.rewind_to = _check_rewind(check_count(rewind_to, "rewind_to", owner, minimum=0), control, ticket, owner)
        self.ignore = check_ignore(ignore, owner)
        self.skip_first_convolution = skip_first_convolution
        self.seed = check_count(seed, "seed", owner, minimum=0)
        self.verbose = verbose
        self._begin_anew()

    @property
    def ticket(self) -> Ticket | None:
        return self.tickets[-1] if self.tickets else None

    @property
    def tickets(self) -> list[Ticket]:
        if self._rewinding.moment is None:
            return []
        return [self._ticket_of(number, masks) for number, masks in enumerate(self._drawn)]

    def _choose(self):
        owner = type(self).__name__
        options = self.ratio, self.ignore, self.skip_first_convolution
        self._shares = shares_by_kernel(self.model, *options, owner, argument="ratio")
        held = {*self._shares, *(self._given.masks.weights(self.model) if self._given else ())}
        return {path: weight for path, weight in kernels(self.model).items() if path in held}

    def on_train_begin(self, logs=None):
        self._begin_anew()
        super().on_train_begin(logs)

    def _begin(self, epoch):
        if self._given:
            self._given.apply(self.model)
            self._hold(Masks({**self.masks, **self._given.masks}))
        self._rewinding.begin(self.model, epoch, self.params)
        if self.control == "random_reinit":
            self._ticket_of(1, self.masks)  # raises here what is wrong with the model

    def _change(self, epoch):
        self._epoch = epoch
        number = self._rewinding.beginning_with(epoch)
        if number is None:
            return
        if number:
            self._prune(number, epoch)
        self._drawn.append(self.masks)
        self._rewinding.open(number, epoch, kept=self.masks.kept, density=1 - self.masks.sparsity)

    def on_train_batch_end(self, batch, logs=None):
        with self._released_on_failure():
            if self._rewinding.watch(self.model, self._epoch, batch):
                self._back_up(self._epoch + 1)

    def on_epoch_end(self, epoch, logs=None):
        with self._released_on_failure():
            self._rewinding.record(logs or {})
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        self._rewinding.warn_if_unfinished()

    def _state(self):
        drawn = [(number, masks.to_arrays()) for number, masks in enumerate(self._drawn)]
        drawn = {f"drawn/{number}/{name}": array for number, arrays in drawn for name, array in arrays.items()}
        return {**self._rewinding.state(), **drawn}

    def _take_up(self, state):
        self._rewinding.take_up(self.model, self._first_epoch, self.params, state)
        for number in range(len(self.rounds_done)):
            prefix = f"drawn/{number}/"
            arrays = {name.removeprefix(prefix): each for name, each in state.items() if name.startswith(prefix)}
            self._drawn.append(Masks.from_arrays(arrays))

    def get_config(self) -> dict:
        """Returns the arguments as plain values; `ticket` is not among them."""
        return plain(
            {
                "rounds": self.rounds,
                "ratio": self.ratio,
                "rewind_to": self.rewind_to,
                "scope": self.scope,
                "control": self.control,
                "ignore": self.ignore,
                "skip_first_convolution": self.skip_first_convolution,
                "seed": self.seed,
                "verbose": self.verbose,
            }
        )

    def _begin_anew(self) -> None:
        self._rewinding = Rewinding(self.rounds, self.rewind_to, type(self).__name__)
        self._drawn: list[Masks] = []
        self.rounds_done = self._rewinding.done

    def _ticket_of(self, number, masks):
        """Returns the ticket of a stretch: its masks, and the weights that it starts from."""
        ticket = Ticket(masks, self._rewinding.moment.weights)
        if number and self.control == "random_reinit":
            return ticket.random_reinit(self.model, self._drawing(number))
        return ticket

    def _prune(self, number, epoch):
        """Removes the smallest of the weights that are left, and goes back with the others."""
        masks = self._fewer()
        if self.control == "random_mask":
            masks = self._at_random(masks, number)
        self._rewinding.moment.restore(self.model)
        if self.control == "random_reinit":
            put_back(self.model, self._ticket_of(number, masks).weights)
        self._hold(masks)
        left = f"{masks.kept:,} of {masks.size:,} weights, density {1 - masks.sparsity:.4f}"
        left = f"{left}, back to {self._rewinding.describe()}"
        say(self.verbose, f"Epoch {epoch + 1}: round {number} of {self.rounds}, {left}")

    def _fewer(self):
        """Returns the masks without the smallest of the weights that they keep."""
        pruned = {path: self._weights[path] for path in self._shares}
        if self.scope == "global":
            within = Masks({path: self.masks[path] for path in pruned})
            sparsity = _after(within.kept, within.size, next(iter(self._shares.values())))
        else:
            masks = {path: self.masks[path] for path in pruned}
            sparsity = {path: _after(mask.sum(), mask.size, self._shares[path]) for path, mask in masks.items()}
        return Masks({**self.masks, **magnitude_masks(pruned, sparsity, self.scope, within=self.masks)})

    def _at_random(self, masks, number):
        """Returns masks that keep as many weights of each kernel as others do, at random, of those kept so far."""
        rng = np.random.default_rng(self._drawing(number))
        scores = {path: rng.random(mask.shape) for path, mask in masks.items()}
        sparsity = {path: 1 - np.count_nonzero(mask) / mask.size for path, mask in masks.items()}
        return magnitude_masks(scores, sparsity, within=self.masks)

    def _drawing(self, number):
        """Returns the seed of what is drawn in a round."""
        return int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])


def _after(kept, size, ratio):
    """Returns the sparsity when a share of the weights that are kept has gone, of all the exact number."""
    return (size - int(kept) + round(ratio * int(kept))) / size


def _check_ticket(ticket, owner):
    """Returns the ticket, or raises `TypeError` if it is something else."""
    if ticket is None or isinstance(ticket, Ticket):
        return ticket
    raise TypeError(invalid_argument("ticket", owner, expected="a `keras_slim.sparsity.Ticket`", received=ticket))


def _check_rewind(rewind_to, control, ticket, owner):
    """Returns the step to go back to, or raises `ValueError` where there can be only the beginning."""
    reason = "whose weights are what is gone back to" if ticket else "whose fresh weights have no early training"
    if rewind_to and (ticket or control == "random_reinit"):
        expected = f"0 with {'a ticket' if ticket else 'control=' + repr(control)}, {reason}"
        raise ValueError(invalid_argument("rewind_to", owner, expected=expected, received=rewind_to))
    return rewind_to
