"""What a phone is asked: the bytes that a file reads, and what its answers are compared with."""

import pathlib
import shutil

import keras
import numpy as np
import pytest

from keras_slim import phone as phones
from keras_slim.errors import ExportError, SlimWarning
from keras_slim.export import export_tflite
from keras_slim.phone import PhoneServer, measuring, trial
from keras_slim.phone.trial import Trial


def test_inputs_are_in_the_type_of_the_file(files, x):
    real = Trial(files[None], None, x, None, "measure")
    assert real.inputs == x.tobytes()
    rounded = Trial(files["int8"], None, x, None, "measure")
    scale, zero_point = rounded.file.inputs["numbers"]["quantization"]
    assert rounded.inputs == np.clip(np.round(x / scale) + zero_point, -128, 127).astype("int8").tobytes()


def test_the_least_agreement_is_that_of_the_kind(files, model, x):
    assert Trial(files[None], None, x, None, "measure").least_db == 60
    assert Trial(files["int8"], model, x, None, "measure").least_db == 10
    assert Trial(files["int8"], model, x, 33.0, "measure").least_db == 33
    assert Trial(files["int8"], None, x, 33.0, "measure").least_db == 33


def test_samples_are_as_many_as_travel_well(files, x, monkeypatch):
    assert Trial(files[None], None, np.tile(x, (10, 1)), None, "measure").num_samples == 128
    monkeypatch.setattr(trial, "MOST_BYTES", 3 * 24)
    assert Trial(files[None], None, x, None, "measure").num_samples == 3
    assert Trial(files[None], None, None, None, "measure").num_samples == 3
    monkeypatch.setattr(trial, "MOST_BYTES", 1)
    assert Trial(files[None], None, x, None, "measure").num_samples == 1


def test_without_data_samples_are_drawn(files):
    first, second = (Trial(files[None], None, None, None, "measure") for _ in range(2))
    assert first.num_samples == 16
    assert first.inputs == second.inputs
    assert len(set(np.frombuffer(first.inputs, "float32"))) > 90


@pytest.fixture(scope="module")
def two_in_two_out(tmp_path_factory):
    left, right = keras.Input((2,), name="left"), keras.Input((3, 2), name="right", dtype="int32")
    table = keras.layers.Flatten()(keras.layers.Embedding(9, 4)(keras.layers.Flatten()(right)))
    model = keras.Model(
        {"left": left, "right": right},
        {"b": keras.layers.Dense(5)(table), "a": keras.layers.Reshape((2, 1))(keras.layers.Dense(2)(left))},
    )
    random = np.random.default_rng(0)
    data = {
        "left": random.standard_normal((7, 2)).astype("float32"),
        "right": random.integers(0, 9, (7, 3, 2)).astype("int32"),
    }
    path = str(tmp_path_factory.mktemp("two") / "two.tflite")
    with pytest.warns(SlimWarning, match="2 partitions"):  # so it is with embeddings
        export_tflite(model, path, data=data, verbose=0)
    return path, model, data


@pytest.mark.parametrize("by", ["Keras", "LiteRT here"])
def test_several_inputs_and_outputs(two_in_two_out, by):
    path, model, data = two_in_two_out
    asked = Trial(path, model if by == "Keras" else None, data, None, "measure")
    assert asked.reference == by
    inputs = np.frombuffer(asked.inputs, np.uint8).reshape(7, -1)
    sizes, at = {"left": 8, "right": 24}, 0
    for name, size in asked.input_sizes.items():
        assert size == sizes[name]
        assert inputs[:, at : at + size].tobytes() == data[name].tobytes()
        at += size
    right = {name: model(data)[name].numpy() for name in ("a", "b")}
    columns = [right[name].reshape(7, -1) for name in asked.output_sizes]
    agreement = asked.judge(np.concatenate(columns, axis=1).tobytes())
    assert agreement.sqnr_db > 100
    agreement = asked.judge(np.concatenate(columns[::-1], axis=1).tobytes())
    assert agreement.sqnr_db < 10


def test_a_file_of_another_model_is_refused(files, stranger, x):
    with pytest.raises(ExportError, match="does not answer like the model"):
        PhoneServer([files[None]], stranger, x, address="127.0.0.1")


def test_a_file_of_another_model_beside_one_of_this(files, model, stranger, x, tmp_path):
    other = str(tmp_path / "other.tflite")
    export_tflite(stranger, other, data=x, verbose=0)
    with pytest.warns(SlimWarning, match=r"other\.tflite does not answer like the model on this computer either"):
        first, second = measuring._make_trials([files[None], other], model, x, None, "measure")
    assert (first.reference, second.reference) == ("Keras", "LiteRT here")
    assert second.judge(second._answers_here["output_0"].tobytes()).sqnr_db == 150
    first, second = measuring._make_trials([files[None], other], [model, stranger], x, None, "measure")
    assert (first.reference, second.reference) == ("Keras", "Keras")
    with pytest.raises(ExportError, match="does not answer like the model"):
        measuring._make_trials([files[None], other], [stranger, stranger], x, None, "measure")
    with pytest.raises(
        ValueError, match=r"Expected one model, or a list of 2, one for each file\. Received: .*1 model"
    ):
        measuring._make_trials([files[None], other], [model], x, None, "measure")


@pytest.mark.parametrize("function", [phones.PhoneServer, phones.measure])
def test_the_warning_shows_the_line_that_called(function, files, model, stranger, x, tmp_path):
    other = str(tmp_path / "other.tflite")
    export_tflite(stranger, other, data=x, verbose=0)
    with pytest.warns(SlimWarning, match="another model") as caught, pytest.raises(ValueError, match="no folder"):
        function([files[None], other], model, x, address="127.0.0.1", runtime=tmp_path / "nowhere")
    assert [warning.filename for warning in caught] == [__file__]


def test_files_of_the_same_name_are_told_apart(files, x, tmp_path):
    twin = str(shutil.copy(files[None], tmp_path))
    names = [each.name for each in measuring._make_trials([files[None], twin, files["int8"]], None, x, None, "measure")]
    assert names == [files[None], twin, "int8.tflite"]


def test_batches_are_for_all_files(files, x):
    batches = ((x[start : start + 5], np.zeros(5)) for start in range(0, 20, 5))
    first, second = measuring._make_trials(list(files.values()), None, batches, None, "measure")
    assert first.inputs == x.tobytes()
    assert second.num_samples == 20


def test_a_corrupted_file_is_refused(files, tmp_path):
    path = tmp_path / "broken.tflite"
    path.write_bytes(pathlib.Path(files[None]).read_bytes()[:100])
    with pytest.raises(ExportError, match="is not a LiteRT file"):
        PhoneServer([path], address="127.0.0.1")
    with pytest.raises(FileNotFoundError):
        PhoneServer([tmp_path / "none.tflite"], address="127.0.0.1")


def test_wrong_arguments(files, x):
    with pytest.raises(TypeError, match=r"`files` of `PhoneServer`\. Expected a list of paths.*give \['a"):
        PhoneServer("a.tflite")
    with pytest.raises(ValueError, match="Expected 1 to 16 paths"):
        PhoneServer([])
    with pytest.raises(ValueError, match="`data` of `PhoneServer`|in `data` of"):
        PhoneServer([files[None]], None, x[:, :3], address="127.0.0.1")
    with pytest.raises(ValueError, match="`threads` of `PhoneServer`"):
        PhoneServer([files[None]], threads=0)
    with pytest.raises(TypeError, match="`tolerance` of `PhoneServer`"):
        PhoneServer([files[None]], tolerance="low")
