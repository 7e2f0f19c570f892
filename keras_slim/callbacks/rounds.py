"""Cutting a given number of times.

Nothing here touches a model. `Rounds` and `keras_slim.callbacks.search.Search` answer the same questions, so that it
does not matter which of them a callback asks: what to do when an epoch begins (`moves`) and when training ends
(`last_moves`), what a cut comes down to (`targets`), what is known when `fit` is taken up (`state`).
"""

import numpy as np

from keras_slim.callbacks.moves import Move
from keras_slim.callbacks.saying import warn
from keras_slim.pruning.costs import target_cost
from keras_slim.pruning.prune import check_reached, warn_if_rounded


class Rounds:
    """A given number of cuts, after which a share is gone: after round `r` of `R`, `(1 - ratio)^(r / R)` is left.

    Args:
        ratio: The share.
        rounds: Number of cuts.
        guards: The `Guards`.
        owner: Name of the callback, for messages.
    """

    kept = trajectory = None  # no round is taken back

    def __init__(self, ratio, rounds, guards, owner):
        self.rounds = rounds
        self._ratio = ratio
        self._guards = guards
        self._owner = owner

    def fewest(self, sizes):
        """Returns the fewest units that layers may come down to in all, given their sizes before the first cut."""
        per_rounds = np.ceil(sizes * (1 - self._guards.max_ratio_per_round) ** self.rounds).astype(int)
        return np.minimum(sizes, np.maximum(self._guards.fewest(sizes), per_rounds))

    def check_reachable(self, progress, deepest):
        """Raises `UnreachableTargetError` if the deepest cut there is, a `Cost`, falls short of the ratio."""
        check_reached(self._owner, progress.of, self._ratio, progress.original, deepest, self._guards)

    def moves(self, epoch, progress):
        """Yields what to do when an epoch begins."""
        if epoch in progress.epochs[len(progress.rounds_done) :]:
            yield Move.CUT

    def last_moves(self, progress):
        """Returns what to do when training ends: nothing, but a word if it has ended too early."""
        done = len(progress.rounds_done)
        if done < self.rounds:
            warn(f"Training ended after {done} of {self.rounds} rounds of pruning: the ratio was not reached.")
        return ()

    def name_of(self, number):
        """Returns what a cut is called."""
        return f"{number}/{self.rounds}"

    def targets(self, progress):
        """Yields what the next cut comes down to."""
        number = len(progress.rounds_done) + 1
        yield target_cost(progress.total, 1 - (1 - self._ratio) ** (number / self.rounds))

    def has_tried(self, structure):
        """Tells whether a cut has led to a structure that was too small: nobody asks here."""
        return False

    def finish(self):
        """Called where nothing is left to be cut; tells whether that is the end: a round counts all the same."""
        return False

    def after_cut(self, progress, structure):
        """Warns if a cut took much more than was asked, or the last one much less."""
        of, left = progress.of, progress.left
        if left < progress.rounds_done[-1]["plan"].before.amount(of):
            warn_if_rounded(self._owner, of, self._ratio, progress.total, left, self._guards)
        if len(progress.rounds_done) == self.rounds and left > target_cost(progress.total, self._ratio):
            warn(
                f"The last round of pruning reached {1 - left / progress.total:.3f} of the {of} instead of "
                f"{self._ratio}: the guards allow no more. Give more rounds, or loosen the guards: {self._guards}."
            )

    def judge(self, epoch, logs, progress, model):
        """Takes what an epoch has measured, which changes nothing."""

    def is_outdone(self, epoch):
        """Tells whether the weights of an epoch must not come back: there is no metric to hold."""
        return False

    def state(self):
        """Returns what must be known to go on, beside the progress: nothing."""

    def take_up(self, state, kept):
        """Takes what `state` returned."""
