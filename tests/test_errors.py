import pytest

from keras_slim import errors


def test_an_invalid_argument_is_told_in_the_common_wording():
    message = errors.invalid_argument("ratio", "prune", expected="a share in (0, 1)", received=60)
    assert message == "Invalid value for argument `ratio` of `prune`. Expected a share in (0, 1). Received: ratio=60."


def test_a_hint_is_the_last_sentence():
    message = errors.invalid_argument("of", "prune", expected="x", received="y", hint="Try z.")
    assert message.endswith("Received: of='y'. Try z.")


def test_one_of_quotes_each_name():
    assert errors.one_of(["l1", "l2"]) == "one of 'l1', 'l2'"


@pytest.mark.parametrize(
    ("word", "answer"),
    [("zscore", "Did you mean 'z_score'?"), ("taylor", "Did you mean 'taylor'?"), ("completely off", ""), (None, "")],
)
def test_the_nearest_name_is_offered_if_one_is_near(word, answer):
    assert errors.did_you_mean(word, ["taylor", "z_score"]) == answer


def test_no_names_no_offer():
    assert errors.did_you_mean("x", []) == ""


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (errors.UnsupportedLayerError, ValueError),
        (errors.UnreachableTargetError, ValueError),
        (errors.PlanMismatchError, ValueError),
        (errors.ExportError, RuntimeError),
        (errors.MissingExtraError, ImportError),
        (errors.SlimWarning, UserWarning),
    ],
)
def test_an_error_can_be_caught_as_its_builtin_kind(error, base):
    assert issubclass(error, base)


def test_numbers_are_no_misspelt_words():
    assert errors.did_you_mean(4, (1, 2, 3)) == ""
