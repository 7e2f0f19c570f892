"""How long a LiteRT file takes for one sample, on the machine at hand."""

import dataclasses
import os
import time

import numpy as np

from keras_slim.export.tflite_file import TfliteFile
from keras_slim.validation import check_count

_LEAST_TURNS, _SECONDS_OF_TURN = 7, 0.005


@dataclasses.dataclass(frozen=True)
class Latency:
    """Times of one inference with a batch of one, in milliseconds.

    Args:
        median_ms: Half of the runs were faster.
        min_ms: The fastest run.
        max_ms: The slowest run.
        p90_ms: Nine in ten runs were faster.
        runs: Number of runs.
        threads: Number of threads.
    """

    median_ms: float
    min_ms: float
    max_ms: float
    p90_ms: float
    runs: int
    threads: int

    def to_dict(self) -> dict:
        """Returns the numbers as plain Python values."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return (
            f"{self.median_ms:.3f} ms median, {self.min_ms:.3f} to {self.max_ms:.3f}, "
            f"90 % under {self.p90_ms:.3f} ({self.runs} runs, {threads})"
        )


def benchmark_tflite(
    path: str | os.PathLike, threads: int = 1, runs: int = 100, warmup: int = 10, signature: str | None = None
) -> Latency:
    """Times a LiteRT file on this machine, in this process.

    Milliseconds on a computer are not those of a phone, nor is their ratio between two files; to compare two files,
    time both on the same idle machine, or better on the phone.

    Args:
        path: Path of the file.
        threads: Number of threads the runtime may use.
        runs: Number of timed inferences.
        warmup: Number of inferences before them, not timed.
        signature: Which of the file's signatures is meant, where it has several.

    Returns:
        A `Latency`, in milliseconds.

    Raises:
        ValueError: If a number is too small, or the file has several signatures and none of them is named.
        ExportError: If the file does not load.
        FileNotFoundError: If there is no such file.

    Example:

    >>> print(benchmark_tflite("digits.tflite"))  # doctest: +SKIP
    0.265 ms median, 0.260 to 0.301, 90 % under 0.281 (100 runs, 1 thread)
    """
    check_count(threads, "threads", "benchmark_tflite")
    check_count(runs, "runs", "benchmark_tflite")
    check_count(warmup, "warmup", "benchmark_tflite", minimum=0)
    return time_file(TfliteFile(path, threads, signature), threads, runs, warmup)


def time_file(file, threads, runs, warmup):
    """Returns the `Latency` of a `TfliteFile` that was loaded with that many threads."""
    _fill_inputs(file)
    for _ in range(warmup):
        file.run()
    milliseconds = [_time_once(file) for _ in range(runs)]
    median, p90 = np.percentile(milliseconds, (50, 90))
    return Latency(float(median), min(milliseconds), max(milliseconds), float(p90), runs, threads)


def relative_time(file, reference, seconds=0.6) -> float:
    """Returns how long a `TfliteFile` takes, as a share of the time of another one, measured in turns.

    Each turn runs both for some milliseconds, one after the other, so that what else the machine does slows both. The
    fastest run of each counts in a turn; the answer is the median over the turns.

    Args:
        file: The file.
        reference: The one to compare it with.
        seconds: How long to measure, about; at least seven turns.
    """
    for each in (file, reference):
        _fill_inputs(each)
        each.run()
    ratios, end = [], time.perf_counter() + seconds
    while len(ratios) < _LEAST_TURNS or time.perf_counter() < end:
        ratios.append(_fastest_of_turn(file) / _fastest_of_turn(reference))
    return float(np.median(ratios))


def _fastest_of_turn(file):
    file.run()  # what the other file left in the caches is not its fault
    end = time.perf_counter() + _SECONDS_OF_TURN
    times = [_time_once(file)]
    while time.perf_counter() < end:
        times.append(_time_once(file))
    return min(times)


def _fill_inputs(file):
    random = np.random.default_rng(0)
    # Zeros and ones are valid in every type, as a picture or as a place in a table of embeddings.
    file.put(
        {
            name: random.integers(0, 2, details["shape"]).astype(details["dtype"])
            for name, details in file.inputs.items()
        }
    )


def _time_once(file):
    start = time.perf_counter()
    file.run()
    return (time.perf_counter() - start) * 1000
