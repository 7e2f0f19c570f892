"""From a Keras model to a phone: a LiteRT file, proved to answer like the model.

Converters fail in silence more often than aloud, so no file leaves here unchecked:

1. `export_tflite` converts the model with a fixed batch of one and built-in operations only, runs the file beside
   Keras on real samples, and puts it at its path only when the two agree.
   `export_signatures` does so for several models in one file.
2. `verify_tflite` repeats that check on any file.
3. `evaluate_tflite` measures metrics on a file, and what it changes class by class.
4. `benchmark_tflite` times a file on this machine.
5. `snippet_tflite` writes the lines with which an app calls a file.

The steps between, one file each: what the model takes (`signature`), the samples (`samples`), a float32 twin
(`precision`), the conversion (`conversion`), the file in the runtime (`tflite_file`), and how far two answers are
apart (`agreement`).
"""

from keras_slim.export.agreement import Agreement, OutputAgreement
from keras_slim.export.c_array import write_c_array
from keras_slim.export.class_changes import ClassChange
from keras_slim.export.evaluation import evaluate_tflite
from keras_slim.export.evaluation_report import Evaluation
from keras_slim.export.exporting import export_tflite
from keras_slim.export.file_tensor import FileTensor
from keras_slim.export.islands import FloatIsland
from keras_slim.export.latency import Latency, benchmark_tflite
from keras_slim.export.microcontroller import MicroReport, check_micro
from keras_slim.export.report import ExportReport
from keras_slim.export.several import export_signatures
from keras_slim.export.snippet import snippet_tflite
from keras_slim.export.verification import verify_tflite

__all__ = [
    "Agreement",
    "ClassChange",
    "Evaluation",
    "ExportReport",
    "FileTensor",
    "FloatIsland",
    "Latency",
    "MicroReport",
    "OutputAgreement",
    "benchmark_tflite",
    "check_micro",
    "evaluate_tflite",
    "export_signatures",
    "export_tflite",
    "snippet_tflite",
    "verify_tflite",
    "write_c_array",
]
