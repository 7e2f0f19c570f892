"""Carrying out steps one after the other, and less of those that cost too much until a metric holds."""

import dataclasses
import itertools
import os
import time
import warnings
from collections.abc import Callable

from keras_slim.errors import SlimWarning, UnreachableTargetError
from keras_slim.recipes.base import State, Step
from keras_slim.recipes.measuring import Measure, ModelCost, cost_of
from keras_slim.recipes.place import Place
from keras_slim.recipes.result import StepReport

STRENGTHS = (1.0, 0.75, 0.5, 0.25, 0.0)
"""How much of a step is tried, one after the other."""


@dataclasses.dataclass(frozen=True)
class Done:
    """A step that was carried out, and what came of it."""

    state: State
    cost: ModelCost
    value: float | None
    report: StepReport | None = None


class Course:
    """The steps of a recipe on their way.

    A metric is held as NNCF's accuracy control does: what costs most is taken back first. A step that trains makes up
    for what was done before it, so that the cost of a step is counted up to the next one that has a strength.

    Args:
        steps: The steps.
        place: Function of a step, and of how much of it is done, that returns its `Place`.
        state: The model they begin with.
        measure: What measures it.
        say: Function that tells a line.
        owner: Name of the recipe, for error messages.
    """

    def __init__(self, steps, place: Callable[[Step, float], Place], state: State, measure: Measure, say, owner: str):
        self._place, self._measure, self._say, self._owner = place, measure, say, owner
        self._ladders = [ladder(step) for step in steps]
        self._rungs = [0] * len(steps)
        self._done = [Done(state, cost_of(state.model), measure.before)]

    @property
    def reports(self) -> tuple[StepReport, ...]:
        return tuple(done.report for done in self._done[1:] if done.report)

    @property
    def first(self) -> Done:
        """What there was before the first step."""
        return self._done[0]

    @property
    def last(self) -> Done:
        """What the last step that changed the model has left."""
        return self._before(len(self._done))

    def carry_out(self) -> None:
        """Carries out all steps, and less of some until the metric holds.

        Raises:
            UnreachableTargetError: If it does not hold while anything of a step is left.
        """
        self._go_on(0)
        asked = missing = self._missing()
        while missing > 0:
            able = [index for index, ladder in enumerate(self._ladders) if self._rungs[index] + 1 < len(ladder)]
            if sum(len(self._ladders[index]) - 1 - self._rungs[index] for index in able) <= 1:
                raise UnreachableTargetError(self._complaint(asked, missing))
            index = max(able, key=self._cost)
            self._rungs[index] += 1
            strength, _ = self._ladders[index][self._rungs[index]]
            self._say(
                f"{self._measure.name} misses what is allowed by {missing:.4g}: step {index + 1}, "
                f"`{self._alias(index)}`, is {f'done by {strength:.0%}' if strength else 'taken back'}"
            )
            self._go_on(index)
            missing = self._missing()

    def _missing(self):
        """Returns by how much the last model, or the worst file, misses what the metric is allowed to lose."""
        files = [done.value for done in self._done[1:] if done.report.file]
        return max(self._measure.missing(value) for value in (self.last.value, *files))

    def _alias(self, index):
        return self._ladders[index][0][1].alias

    def _cost(self, index):
        """Returns how much worse the metric is for a step, made up for by the training behind it."""
        after = self._done[index + 1]
        if not after.report.file:
            behind = itertools.takewhile(lambda each: len(self._ladders[each]) == 1, range(index + 1, len(self._rungs)))
            after = self._before(max(behind, default=index) + 1)
        return self._measure.drop(after.value, since=self._before(index).value)

    def _before(self, index):
        """Returns what the model was before a step: files are written beside it."""
        return next(done for done in self._done[index::-1] if done.report is None or not done.report.file)

    def _go_on(self, first):
        """Carries out the steps from one on."""
        del self._done[first + 1 :]
        for index in range(first, len(self._ladders)):
            self._done.append(self._carried_out(index))

    def _carried_out(self, index):
        (strength, step), before = self._ladders[index][self._rungs[index]], self._before(index)
        if step is None:
            costs = before.cost, before.cost, before.value, before.value
            return dataclasses.replace(before, report=StepReport(self._alias(index), {}, 0.0, *costs, 0.0))
        begin = time.perf_counter()
        place = self._place(step, strength)
        try:
            with warnings.catch_warnings(record=True) as caught:
                state = step.run(before.state, place)
        except Exception as error:
            self._say(f"Step {index + 1} of {len(self._ladders)}, `{step.alias}`, fails")
            error.add_note(f"This was step {index + 1} of {len(self._ladders)} of the recipe, `{step.alias}`.")
            raise
        notes = (*state.notes, *_told(caught, place.path("")))
        path = place.path(state.file) if state.file else None
        cost = cost_of(state.model) if path is None else dataclasses.replace(before.cost, bytes=os.path.getsize(path))
        value = self._measure.of(state.model, path)
        seconds = time.perf_counter() - begin
        details = None if state.details is None else state.details.to_dict()
        report = StepReport(
            *(step.alias, step.get_config(), strength, before.cost, cost, before.value, value, seconds),
            *(notes, path, details),
        )
        metric = "" if value is None else f"{self._measure.name} {value:.4f}, "
        self._say(
            f"Step {index + 1} of {len(self._ladders)}, `{step.alias}`: {metric}{cost.parameters:,} parameters, "
            f"{cost.bytes:,} bytes, {seconds:.1f} s"
        )
        for note in notes:
            self._say(f"  {note}")
        return Done(state, cost, value, report)

    def _complaint(self, asked, missing):
        measure = self._measure
        return (
            f"`{self._owner}` cannot keep {measure.name} within max_drop={measure.max_drop:g} of the model's "
            f"{measure.before:.4g}: with the steps as they are it misses that by {asked:.4g}, and by {missing:.4g} "
            f"with the least of them that does anything. Expected a larger `max_drop`, gentler steps, or more epochs "
            "in which the model makes up for them."
        )


def _told(caught, folder):
    """Returns the warnings of this package as sentences, without a folder that will be gone; gives others again."""
    for each in caught:
        if not issubclass(each.category, SlimWarning):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return [str(each.message).replace(folder, "") for each in caught if issubclass(each.category, SlimWarning)]


def ladder(step):
    """Returns what becomes of a step when less and less of it is done: how much, and the step; `None` for nothing."""
    found = [(STRENGTHS[0], step)]
    for strength in STRENGTHS[1:]:
        weaker = step.weaker(strength)
        if weaker != found[-1][1]:
            found.append((strength if weaker else 0.0, weaker))
    return found
