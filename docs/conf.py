"""Sphinx configuration. `tox -e docs` builds the pages."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_slim

project = "keras_slim"
author = "the keras_slim authors"
release = version = keras_slim.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "keras_slim"

# Docstrings mark code with single backticks, and use Keras's section names.
default_role = "code"
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Call arguments", "Input shape", "Output shape", "Reference"]
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
