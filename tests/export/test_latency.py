import pytest

from keras_slim.export import benchmark_tflite


def test_numbers_are_in_order(exported):
    latency = benchmark_tflite(exported["int8"].path, threads=2, runs=12, warmup=1)
    assert 0 < latency.min_ms <= latency.median_ms <= latency.p90_ms <= latency.max_ms
    assert (latency.runs, latency.threads) == (12, 2)
    assert "12 runs, 2 threads" in str(latency)


@pytest.mark.parametrize("argument", ["threads", "runs"])
def test_counts_must_be_positive(exported, argument):
    with pytest.raises(ValueError, match=f"`{argument}` of `benchmark_tflite`"):
        benchmark_tflite(exported[None].path, **{argument: 0})


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        benchmark_tflite(tmp_path / "missing.tflite")
