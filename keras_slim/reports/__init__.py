"""What was won, in words and pictures: before and after, side by side.

`report` looks at a model and its smaller self from all sides, and writes a page, a model card or the data.
`compare_models` puts a model beside its smaller self; `Comparison` is that table as data, which prints, and goes to
Markdown and JSON. The pictures show widths layer by layer (`plot_widths`), a training with its rounds of pruning
(`plot_pruning`), both (`plot_report`), the way of a search (`plot_trajectory`), the values of weights (`plot_weights`),
or where rounding loses accuracy (`plot_quantization`).
"""

from keras_slim.reports.comparison import Comparison, ComparisonRow, compare_models
from keras_slim.reports.environment import environment
from keras_slim.reports.kernel_values import KernelValues
from keras_slim.reports.model_report import FileReport, LayerWidth, ModelReport
from keras_slim.reports.pictures import plot_pruning, plot_report, plot_widths
from keras_slim.reports.quantization_picture import plot_quantization
from keras_slim.reports.reporting import report
from keras_slim.reports.trajectory_picture import plot_trajectory
from keras_slim.reports.weights_picture import plot_weights

__all__ = [
    "Comparison",
    "ComparisonRow",
    "FileReport",
    "KernelValues",
    "LayerWidth",
    "ModelReport",
    "compare_models",
    "environment",
    "plot_pruning",
    "plot_quantization",
    "plot_report",
    "plot_trajectory",
    "plot_weights",
    "plot_widths",
    "report",
]
