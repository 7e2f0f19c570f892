"""Rounds: when each is due and what it comes down to, without a model; and a search answers the same questions."""

import numpy as np
import pytest

from keras_slim.callbacks.moves import Move
from keras_slim.callbacks.progress import Progress
from keras_slim.callbacks.rounds import Rounds
from keras_slim.callbacks.search import Search
from keras_slim.errors import SlimWarning, UnreachableTargetError
from keras_slim.pruning import Guards, PruningPlan
from keras_slim.pruning.costs import Cost

WHOLE = Cost(400, 0, 0)


@pytest.fixture
def progress():
    return Progress(WHOLE, WHOLE, epochs=[2, 5])


def rounds(ratio=0.75, number=2, **guards):
    return Rounds(ratio, number, Guards(**guards), "ours")


def cut(course, progress, units):
    """Notes a round after which some units are left."""
    after = Cost(units, 0, 0)
    progress.add({"plan": PruningPlan((), (), progress.cost, after, {})}, after)
    course.after_cut(progress, {})


def test_each_round_is_due_once_and_leaves_the_same_share(progress):
    course, found = rounds(), []
    for epoch in range(7):
        for move in course.moves(epoch, progress):
            (target,) = course.targets(progress)
            found.append((epoch, move, target))
            cut(course, progress, target)
    assert found == [(2, Move.CUT, 200), (5, Move.CUT, 100)]
    assert [*course.last_moves(progress)] == []


def test_a_round_that_was_made_before_fit_was_killed_is_not_due_again(progress):
    course = rounds()
    cut(course, progress, 200)
    assert [*course.moves(2, progress)] == []
    assert [*course.moves(5, progress)] == [Move.CUT]


def test_it_says_what_fell_short_and_what_went_too_far(progress):
    course = rounds()
    cut(course, progress, 200)
    with pytest.warns(SlimWarning, match="ended after 1 of 2 rounds"):
        course.last_moves(progress)
    with pytest.warns(SlimWarning, match=r"reached 0\.700 of the units instead of 0\.75"):
        cut(course, progress, 120)
    with pytest.warns(SlimWarning, match=r"removes 25\.0% of the units where ratio=0\.1"):
        cut(rounds(0.1), Progress(WHOLE, WHOLE), 300)


def test_what_no_number_of_rounds_can_reach_is_refused(progress):
    course = rounds(number=3, max_ratio=0.9, max_ratio_per_round=0.5, min_units=4)
    assert course.fewest(np.array([64, 10, 3])).tolist() == [8, 4, 3]
    course.check_reachable(progress, Cost(100, 0, 0))
    with pytest.raises(UnreachableTargetError, match=r"at most 0\.748"):
        course.check_reachable(progress, Cost(101, 0, 0))


def test_a_search_answers_the_same_questions():
    search = Search("val_loss", 0.1, "min", 1, (0.2,), None, Guards(), {}, "ours")
    questions = [name for name in dir(Rounds) if not name.startswith("_")] + ["rounds"]
    assert [name for name in questions if not hasattr(search, name)] == []
