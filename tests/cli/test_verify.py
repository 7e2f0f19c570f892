import json

import keras
import numpy as np


def test_a_sound_file(prints, model_path, tflite_path, data_path):
    text = prints("verify", model_path, tflite_path, "--data", data_path)
    assert text.startswith(f"{tflite_path} answers like {model_path}.\n")
    assert "dB on 40 samples" in text


def test_json(prints, model_path, tflite_path, data_path):
    agreement = json.loads(prints("verify", model_path, tflite_path, "--data", data_path, "--json"))
    assert agreement["samples"] == 40
    assert agreement["sqnr_db"] > 60


def test_a_file_of_another_model_is_a_failure(fails, model_path, tflite_path, data_path, tmp_path):
    other = keras.saving.load_model(model_path, compile=False)
    for weight in other.weights:
        weight.assign(np.random.default_rng(7).normal(0, 0.5, weight.shape))
    other.save(tmp_path / "other.keras")
    message = fails(1, "verify", tmp_path / "other.keras", tflite_path, "--data", data_path)
    assert "does not answer like the model" in message


def test_a_tolerance_of_the_users_own(fails, model_path, tflite_path, data_path):
    message = fails(1, "verify", model_path, tflite_path, "--data", data_path, "--tolerance", "1000")
    assert "Expected at least 1000 dB" in message


def test_what_is_no_litert_file_is_a_failure(fails, model_path, data_path, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_text("nothing of the kind")
    assert "not a LiteRT file" in fails(1, "verify", model_path, path, "--data", data_path)


def test_bad_usage(fails, model_path, tflite_path, data_path, tmp_path):
    assert "--data" in fails(2, "verify", model_path, tflite_path)
    assert "There is no file" in fails(2, "verify", model_path, tmp_path / "no.tflite", "--data", data_path)
    assert "There is no file" in fails(2, "verify", tmp_path / "no.keras", tflite_path, "--data", data_path)
    np.savez(tmp_path / "odd.npz", x=np.ones((3, 5)))
    assert "(3, 5)" in fails(2, "verify", model_path, tflite_path, "--data", tmp_path / "odd.npz")
