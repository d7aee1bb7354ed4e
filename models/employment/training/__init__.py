"""Trains the employment classifier and writes its model folder.

Tests take real rows and the fitted scikit-learn model from here.
"""

from models.employment.training.config import Configuration, Feature
from models.employment.training.data import Census, DataError, load
from models.employment.training.samples import fitted_model, rows

__all__ = [
    "Census",
    "Configuration",
    "DataError",
    "Feature",
    "fitted_model",
    "load",
    "rows",
]
