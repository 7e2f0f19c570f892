import json
import re

import numpy as np
import pytest
from phone_by_hand import PhoneByHand, in_background

from keras_slim.cli import main
from keras_slim.phone import display, runtime


@pytest.fixture
def runtime_folder(tmp_path, monkeypatch):
    """A folder with files of a few bytes, whose hashes are pinned."""
    for name in list(runtime.SHA256):
        (tmp_path / name).write_bytes(b"")
        monkeypatch.setitem(runtime.SHA256, name, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    return str(tmp_path)


@pytest.fixture
def with_phone(monkeypatch, runtime_folder):
    """Runs the command while a phone opens the address it shows."""
    say_where = display._say_where

    def start(*words, spoil=bytes):
        def open_on_phone(server, console):
            say_where(server, console)
            in_background(lambda: PhoneByHand(server.url, spoil).open().work())

        monkeypatch.setattr(display, "_say_where", open_on_phone)
        fixed = ["--runtime", runtime_folder, "--address", "127.0.0.1", "--timeout", "30"]
        return main(["phone", *map(str, words), *fixed])

    return start


def test_the_table(with_phone, tflite_path, model_path, data_path, capsys):
    assert with_phone(tflite_path, "--model", model_path, "--data", data_path) == 0
    out, err = capsys.readouterr()
    assert re.search(r"Open on a phone in the same network: http://127\.0\.0\.1:\d+/[0-9a-f]{16}/\n", out)
    assert re.search(r"model\.tflite .* agrees .* 2\.000 +2\.800 +9\.000\n.* with Keras\n", out)
    assert err == ""


def test_json(with_phone, tflite_path, data_path, capsys):
    assert with_phone(tflite_path, "--data", data_path, "--json") == 0
    out, err = capsys.readouterr()
    (file,) = json.loads(out)["phones"][0]["files"]
    assert file["agrees"]
    assert file["reference"] == "LiteRT here"
    assert "Open on a phone" in err


def test_disagreement_is_a_failure(with_phone, tflite_path, capsys):
    def spoil(answers):
        return np.zeros(len(answers), "uint8").tobytes()

    assert with_phone(tflite_path, spoil=spoil) == 1
    out, err = capsys.readouterr()
    assert "does NOT agree with LiteRT here" in out
    assert err.startswith(
        "keras-slim phone: error: Not every phone answers as it should. model.tflite on Phone 1: Chrome"
    )


def test_nobody_comes(runtime_folder, tflite_path, capsys):
    words = ["--runtime", runtime_folder, "--address", "127.0.0.1", "--timeout", "0.1"]
    assert main(["phone", tflite_path, *words]) == 1
    assert "error: Expected 1 to be through within 0.1 seconds" in capsys.readouterr().err


def test_bad_usage(fails, tflite_path, model_path, tmp_path):
    assert "There is no file" in fails(2, "phone", tmp_path / "no.tflite")
    assert "FILE" in fails(2, "phone")
    assert "--port: expected a port" in fails(2, "phone", tflite_path, "--port", "70000")
    assert "--threads: expected an integer of at least 1" in fails(2, "phone", tflite_path, "--threads", "0")
    assert "one IPv4 address" in fails(2, "phone", tflite_path, "--address", "0.0.0.0")
    assert "a list of 1, one for each" in fails(2, "phone", tflite_path, "--model", model_path, "--model", model_path)


def test_a_runtime_that_is_not_there(fails, tflite_path, tmp_path):
    said = fails(1, "phone", tflite_path, "--runtime", tmp_path, "--address", "127.0.0.1")
    assert "does not hold the runtime" in said
    assert "npm pack @litertjs/core@2.5.3" in said
