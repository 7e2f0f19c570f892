import json


def test_the_times(prints, tflite_path):
    assert "ms median" in prints("benchmark", tflite_path, "--runs", 5)


def test_json(prints, tflite_path):
    latency = json.loads(prints("benchmark", tflite_path, "--runs", 5, "--threads", 2, "--json"))
    assert (latency["runs"], latency["threads"]) == (5, 2)
    assert 0 < latency["min_ms"] <= latency["median_ms"] <= latency["max_ms"]


def test_bad_usage(fails, tflite_path, tmp_path):
    assert "There is no file" in fails(2, "benchmark", tmp_path / "no.tflite")
    assert "is a folder" in fails(2, "benchmark", tmp_path)
    assert "--runs: expected an integer of at least 1" in fails(2, "benchmark", tflite_path, "--runs", "0")
    assert "--threads: expected a number" in fails(2, "benchmark", tflite_path, "--threads", "two")


def test_what_is_no_litert_file_is_a_failure(fails, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_text("nothing of the kind")
    assert "not a LiteRT file" in fails(1, "benchmark", path)
