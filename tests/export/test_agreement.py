import dataclasses
import json
import math

import numpy as np
import pytest

from keras_slim.errors import ExportError
from keras_slim.export.agreement import LEAST_DB, Agreement, OutputAgreement, RunningComparison, compare


def agreement_of(*outputs):
    return Agreement(samples=2, outputs=outputs, quantize=None, operations={"ADD": 1}, partitions=1)


def test_measures_by_hand():
    output = compare("scores", [[3.0, 4.0], [0.0, 0.0]], [[3.0, 3.5], [0.0, 0.0]])
    assert output.rms == pytest.approx(2.5)  # sqrt((9 + 16) / 4)
    assert output.rms_error == pytest.approx(0.25)  # sqrt(0.25 / 4)
    assert output.sqnr_db == pytest.approx(20)  # a tenth of the signal
    assert output.max_abs_error == 0.5
    assert output.relative_error == pytest.approx(0.125)


def test_exact_answers_reach_the_top_and_silence_beside_noise_the_bottom():
    assert compare("a", [1.0, 2.0], [1.0, 2.0]).sqnr_db == 150
    assert compare("a", [0.0], [0.0]).sqnr_db == 150
    assert compare("a", [0.0], [1.0]).sqnr_db == -150
    assert compare("a", [0.0], [1.0]).relative_error == 1


def test_nan_in_the_file_never_agrees():
    output = compare("a", [1.0, 2.0], [1.0, math.nan])
    assert output.sqnr_db == -150
    assert not output.is_within(-100)


def test_equal_infinities_agree():
    assert compare("a", [1.0, -math.inf], [1.0, -math.inf]).sqnr_db == 150


def test_same_class_counts_a_tie_as_the_same():
    expected = [[0.1, 0.2], [0.9, 0.1], [0.9, 0.1], [0.2, 0.4]]
    received = [[0.2, 0.2], [0.9, 0.1], [0.1, 0.9], [0.1, 0.4]]
    assert compare("a", expected, received).same_class == 0.75
    assert compare("a", [[1.0], [2.0]], [[1.0], [2.0]]).same_class is None
    assert compare("a", np.ones((2, 3, 3)), np.ones((2, 3, 3))).same_class is None


def test_rounding_of_an_int8_output_is_not_held_against_the_file():
    expected = np.full((4, 1000), 0.001)  # every probability of 1 000 is less than half a step: stored as 0
    assert not compare("a", expected, np.zeros((4, 1000))).is_within(10)
    assert compare("a", expected, np.zeros((4, 1000)), step=1 / 256).is_within(10)


def test_answers_that_do_not_tell_samples_apart_prove_little():
    assert compare("a", [[1.0], [2.0]], [[1.0], [2.1]]).is_telling
    assert not compare("a", [[1.0], [1.0]], [[1.0], [1.0]]).is_telling
    assert not compare("a", [[1.0], [1.01]], [[1.0], [1.1]]).is_telling


def test_check_names_only_the_outputs_that_fail():
    good, bad = compare("good", [[1.0], [2.0]], [[1.0], [2.0]]), compare("bad", [[1.0], [2.0]], [[2.0], [1.0]])
    assert agreement_of(good).check(60).sqnr_db == 150
    with pytest.raises(ExportError, match=r"at least 60 dB.*'bad' reaches 4\.0 dB.*with a larger file") as error:
        agreement_of(good, bad).check(60)
    assert "good" not in str(error.value)


def test_agreement_is_as_good_as_its_worst_output():
    agreement = agreement_of(
        compare("a", [[1.0, 0.0]] * 2, [[1.0, 0.0]] * 2), compare("b", [[1.0, 0.0]] * 2, [[1.0, 0.0], [0.0, 1.0]])
    )
    assert agreement.same_class == 0.5
    assert agreement.max_abs_error == 1
    assert agreement.sqnr_db == pytest.approx(0)


def test_agreement_survives_json_and_prints():
    agreement = agreement_of(compare("a", [[1.0, 0.0]], [[1.0, 0.1]]))
    assert json.loads(json.dumps(agreement.to_dict()))["sqnr_db"] == pytest.approx(20)
    assert "20.0 dB on 2 samples" in str(agreement)


def test_batches_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    expected, received = rng.normal(5, 1, (9, 4)), rng.normal(5, 1, (9, 4))
    running = RunningComparison("a", step=0.5)
    for rows in (slice(0, 4), slice(4, 5), slice(5, 9)):
        running.add(expected[rows], received[rows])
    output = running.result()
    assert output.rms == pytest.approx(np.sqrt(np.mean(expected**2)))
    assert output.variation == pytest.approx(np.sqrt(np.mean((expected - expected.mean(0)) ** 2)))
    assert output.rms_error == pytest.approx(np.sqrt(np.mean((expected - received) ** 2)))
    assert output.max_abs_error == np.abs(expected - received).max()
    assert output.same_class == np.mean(expected.argmax(1) == received.argmax(1))
    assert (output.step, output.max_abs) == (0.5, np.abs(expected).max())


def test_numbers_of_classes_are_counted_not_subtracted():
    expected = np.array([0, 9, 9, 9], "float32")
    half = compare("class", expected, np.array([0, 0, 0, 9]))
    assert (half.is_whole, half.same_class) == (True, 0.5)
    assert half.sqnr_db < 5
    assert half.is_within(10), "in int8 half may be others"
    assert not half.is_within(60), "in float32 none"
    assert not compare("class", expected, np.array([9, 0, 0, 9])).is_within(10)
    scores = compare("scores", expected, np.array([0, 0, 0, 9], "float32"))
    assert not scores.is_whole
    assert not scores.is_within(10)


def test_the_best_few_may_stand_in_another_order():
    expected, received = np.array([[3, 1, 4]], "float32"), np.array([[1, 3, 5]])
    assert compare("places", expected, received).same_class == pytest.approx(2 / 3)
    assert compare("map", expected[None], received[None]).same_class == 0


def test_yes_and_no_for_each_label_stand_in_their_order():
    expected = np.array([[1, 0, 0, 1], [0, 1, 1, 1]])
    found = compare("labels", expected, 1 - expected)
    assert found.same_class == 0
    assert not found.is_within(10)
    assert compare("labels", expected, expected).same_class == 1
    assert compare("places", np.array([[3, 1, 2]]), np.array([[2, 3, 1]])).same_class == 1


def file_with(decibels, quantize):
    """The agreement of a file whose one answer, 1, is off by as much."""
    output = OutputAgreement("a", 1.0, 1.0, 10 ** (-decibels / 20), 1.0, 0.1, 0.0, None)
    return Agreement(2, (output,), quantize, {"CONV_2D": 1}, 1)


@pytest.mark.parametrize(
    ("decibels", "quantize", "words"),
    [
        (43.8, "int8", "43.8 dB on 2 samples: an error of 0.65% of the answers, sound for int8 (20 dB or more)"),
        (43.8, None, "43.8 dB on 2 samples: an error of 0.65% of the answers, too little for float32 (at least 60 dB)"),
        (132, None, "132.0 dB on 2 samples: an error of under 0.01% of the answers, sound for float32"),
        (25, "dynamic", "accepted for dynamic (20 dB or more), but sound files reach 30"),
        (9, "int8", "an error of 35.48% of the answers, too little for int8 (at least 10 dB)"),
        (55, "float16", "sound for float16 (50 dB or more)"),
        (150, "int8", "150.0 dB on 2 samples: exact"),
    ],
)
def test_decibels_are_put_in_words(decibels, quantize, words):
    assert words in str(file_with(decibels, quantize))


@pytest.mark.parametrize("quantize", LEAST_DB)
def test_what_is_too_little_in_words_is_refused(quantize):
    least = LEAST_DB[quantize]
    with pytest.raises(ExportError):
        file_with(least - 1, quantize).check(least)
    assert "too little" in file_with(least - 1, quantize).verdict
    assert "accepted" in file_with(least + 1, quantize).check(least).verdict


def test_decibels_of_classes_are_not_judged():
    agreement = agreement_of(compare("class", np.array([0, 9, 9, 9], "float32"), np.array([0, 0, 0, 9])))
    assert agreement.verdict == "numbers of classes, of which decibels say little"


def test_a_model_of_half_precision_is_not_blamed_for_its_own_rounding():
    found = dataclasses.replace(file_with(48, None), half_precision=True)
    assert found.verdict == "accepted for float32 (20 dB or more), as the model itself computes in half precision"
    assert "too little" in dataclasses.replace(file_with(19, None), half_precision=True).verdict
