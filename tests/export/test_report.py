import dataclasses
import json

import pytest

from keras_slim.errors import SlimWarning
from keras_slim.export.agreement import compare
from keras_slim.export.report import warn_of_weaknesses, weaknesses


def changed(report, **changes):
    return dataclasses.replace(report, agreement=dataclasses.replace(report.agreement, **changes))


def test_numbers_survive_json(exported):
    plain = json.loads(json.dumps(exported["int8"].to_dict()))
    assert plain["quantize"] == "int8"
    assert plain["agreement"]["operations"]["CONV_2D"] == 1
    assert plain["latency"]["threads"] == 1


def test_table_shows_size_and_agreement(exported):
    report = exported["int8"]
    lines = dict(line.split(maxsplit=1) for line in str(report).splitlines())
    assert lines["precision"] == "int8"
    assert lines["size"].startswith(f"{report.bytes:,} bytes")
    assert lines["XNNPACK"] == f"1 partition, {sum(report.agreement.operations.values())} of 3 operations"
    assert lines["agreement"].endswith("% of the answers, sound for int8 (20 dB or more)")


def test_table_says_what_the_numbers_do_not(exported):
    report = dataclasses.replace(changed(exported["dynamic"], quantize=None), random_samples=True)
    assert "stored as float32" in str(report)
    assert "random, as no data was given" in str(report)


def test_sound_file_has_no_weakness(exported):
    assert weaknesses(exported[None]) == []


@pytest.mark.parametrize("partitions", [0, 2])
def test_partitions_are_warned_of(exported, partitions):
    with pytest.warns(SlimWarning, match=f"in {partitions} partitions instead of one.*CONV_2D"):
        warn_of_weaknesses(changed(exported[None], partitions=partitions))


def test_changed_classes_are_warned_of_unless_samples_are_random(exported):
    half = compare("scores", [[1.0, 0.0], [1.0, 1.1]], [[1.0, 0.0], [1.1, 1.0]])
    report = changed(exported["int8"], outputs=(half,))
    with pytest.warns(SlimWarning, match="only 50% of the samples.*with a larger file"):
        warn_of_weaknesses(report)
    assert weaknesses(dataclasses.replace(report, random_samples=True)) == []


def test_constant_answers_are_warned_of(exported):
    constant = compare("scores", [[1.0], [1.0]], [[1.0], [1.0]])
    with pytest.warns(SlimWarning, match="proves little"):
        warn_of_weaknesses(changed(exported[None], outputs=(constant,)))
