"""The four hooks of a plugin: each gets a callback and calls `register(Class)` for each of its components."""

from __future__ import annotations

import re
from collections.abc import Callable

import pluggy

PROJECT = "benchfw"
ENTRY_POINT_GROUP = "benchfw.v1"  # the number is the version of all that a plugin may rely on
GROUP = re.compile(r"benchfw\.v(\d+)")

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Register = Callable[[type], None]


@hookspec
def register_datasets(register: Register) -> None:
    """Register data sets: subclasses of Dataset."""


@hookspec
def register_extractors(register: Register) -> None:
    """Register feature extractors: subclasses of Extractor or NeuralExtractor."""


@hookspec
def register_augmenters(register: Register) -> None:
    """Register augmenters: subclasses of Synthesizer, Selector or JointTrainer."""


@hookspec
def register_classifiers(register: Register) -> None:
    """Register classifiers: subclasses of Classifier or NeuralClassifier."""
