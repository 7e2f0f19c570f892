"""All models of the zoo."""

import importlib.util

MODULES = ["model_zoo", "model_zoo_layers", "model_zoo_operations", "model_zoo_sequences"]
BUILDERS = [
    builder for name in MODULES if importlib.util.find_spec(name) for builder in importlib.import_module(name).BUILDERS
]
