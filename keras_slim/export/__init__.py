"""From a Keras model to a phone: a LiteRT file, proved to answer like the model.

Converters fail in silence more often than aloud, so no file leaves here unchecked:

1. `export_tflite` converts the model with a fixed batch of one and built-in operations only, runs the file beside
   Keras on real samples, and puts it at its path only when the two agree.
2. `verify_tflite` repeats that check on any file.
3. `benchmark_tflite` times a file on this machine.
4. `check_micro` runs a file as a microcontroller does, and tells the memory it takes; `write_c_array` writes it as C
   source.

The steps between, one file each: what the model takes (`signature`), the samples (`samples`), a float32 twin
(`precision`), the conversion (`conversion`), the file in the runtime (`tflite_file`), and how far two answers are
apart (`agreement`).
"""

from keras_slim.export.agreement import Agreement, OutputAgreement
from keras_slim.export.c_array import write_c_array
from keras_slim.export.exporting import export_tflite
from keras_slim.export.islands import FloatIsland
from keras_slim.export.latency import Latency, benchmark_tflite
from keras_slim.export.microcontroller import MicroReport, check_micro
from keras_slim.export.report import ExportReport
from keras_slim.export.verification import verify_tflite

__all__ = [
    "Agreement",
    "ExportReport",
    "FloatIsland",
    "Latency",
    "MicroReport",
    "OutputAgreement",
    "benchmark_tflite",
    "check_micro",
    "export_tflite",
    "verify_tflite",
    "write_c_array",
]
