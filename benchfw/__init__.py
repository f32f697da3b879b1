"""benchfw: does synthesising minority features help, by how much, against what, and can the number be trusted?

The public door. Every name is loaded when it is first used, so importing benchfw loads no torch, numpy or pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchfw.api import Results, run
    from benchfw.components import (
        Classifier,
        Dataset,
        Extractor,
        JointTrainer,
        NeuralClassifier,
        NeuralExtractor,
        Selector,
        Synthesizer,
        param,
    )
    from benchfw.context import Context
    from benchfw.data import FeatureSet, FeatureSpace, ImageSet
    from benchfw.dataset import FeatureDataset, ImageDataset, Source
    from benchfw.errors import BenchfwError, CannotRun, DataError, PluginError, StoreError, UsageError
    from benchfw.hookspecs import hookimpl

__version__ = "0.1.0"

_ROOM_OF = {
    "BenchfwError": "errors",
    "CannotRun": "errors",
    "Classifier": "components",
    "Context": "context",
    "DataError": "errors",
    "Dataset": "components",
    "Extractor": "components",
    "FeatureDataset": "dataset",
    "FeatureSet": "data",
    "FeatureSpace": "data",
    "ImageDataset": "dataset",
    "ImageSet": "data",
    "JointTrainer": "components",
    "NeuralClassifier": "components",
    "NeuralExtractor": "components",
    "PluginError": "errors",
    "Results": "api",
    "Selector": "components",
    "Source": "dataset",
    "StoreError": "errors",
    "Synthesizer": "components",
    "UsageError": "errors",
    "hookimpl": "hookspecs",
    "param": "components",
    "run": "api",
}

__all__ = [
    "BenchfwError",
    "CannotRun",
    "Classifier",
    "Context",
    "DataError",
    "Dataset",
    "Extractor",
    "FeatureDataset",
    "FeatureSet",
    "FeatureSpace",
    "ImageDataset",
    "ImageSet",
    "JointTrainer",
    "NeuralClassifier",
    "NeuralExtractor",
    "PluginError",
    "Results",
    "Selector",
    "Source",
    "StoreError",
    "Synthesizer",
    "UsageError",
    "hookimpl",
    "param",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'benchfw' has no attribute {name!r}")
    value = getattr(import_module(f"benchfw.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
