"""A plugin of the tests, copied into a distribution of their own: components that record, wait, fail and die.

What they record goes to the directory $PROBE_DIR.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from probe import constants

from benchfw import Classifier, Extractor, NeuralClassifier, NeuralExtractor, Selector, Synthesizer, hookimpl

PATIENCE_SECONDS = 60


@hookimpl
def register_extractors(register):
    for component in (NotFinite, Recording, WantsWeights):
        register(component)


@hookimpl
def register_augmenters(register):
    for component in (Raises, Exits, Empties, Marks):
        register(component)


@hookimpl
def register_classifiers(register):
    for component in (Records, Waits, WantsFile, Dies):
        register(component)


def directory():
    return Path(os.environ["PROBE_DIR"])


def note_ids(stage, train, val):
    """Keep the ids of the samples that a fit meets; a file for each fit."""
    path = next(path for n in count() if not (path := directory() / f"ids-{stage}-{n}.json").exists())
    path.write_text(json.dumps([[] if part is None else part.ids.tolist() for part in (train, val)]))


class Awkward(Exception):
    """An exception that cannot be unpickled: its initialisation wants two arguments."""

    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


@dataclass(frozen=True)
class WantsWeights(Extractor):
    """Read weights from a file that is not there."""

    name = "wants-weights"

    def embed(self, images, ctx):
        return Path("/nowhere/weights").read_bytes()


@dataclass(frozen=True)
class NotFinite(Extractor):
    """Give features of which one number is NaN."""

    name = "not-finite"
    layout = "map"

    def embed(self, images, ctx):
        features = images.float()
        features[1, 0, 0, 0] = float("nan")
        return features


@dataclass(frozen=True)
class Recording(NeuralExtractor):
    """Flatten the pixels; note the samples of the fit."""

    name = "recording"
    layout = "vector"

    def build(self, image_shape, n_classes):
        import torch
        from torch import nn

        from benchfw.training import Network

        class Pixels(nn.Module):
            def forward(self, images):
                return images.flatten(1).float() / 255

        return Network(Pixels(), nn.Linear(int(torch.tensor(image_shape).prod()), n_classes))

    def fit(self, network, train, val, ctx):
        note_ids("extractor", train, val)
        super().fit(network, train, val, ctx)


@dataclass(frozen=True)
class Exits(Selector):
    """Call sys.exit with the code of success."""

    name = "exits"

    def select(self, train, ctx):
        sys.exit(0)


@dataclass(frozen=True)
class Empties(Selector):
    """Keep only the rows of class 0."""

    name = "empties"

    def select(self, train, ctx):
        return (train.labels == 0).nonzero()[:, 0]


@dataclass(frozen=True)
class Raises(Synthesizer):
    """Raise what no process can hand to another."""

    name = "raises"

    def fit(self, train, val, ctx):
        raise Awkward("this augmenter", "always raises")


@dataclass(frozen=True)
class Marks(Synthesizer):
    """Make rows that hold a constant, below all real ones; note the samples of the fit."""

    name = "marks"

    def fit(self, train, val, ctx):
        note_ids("augmenter", train, val)

        def sample(labels, rng):
            return train.values.new_full((len(labels), *train.space.shape), constants.MARK)

        return sample


@dataclass(frozen=True)
class Records(NeuralClassifier):
    """Train one linear layer; note the samples of the fit, the layer's first weights and every training batch."""

    name = "records"

    def build(self, space):
        from torch import nn

        class Layer(nn.Linear):
            def __init__(self):
                super().__init__(space.size, space.n_classes)
                self.first = self.weight.detach().clone()
                self.met = []

            def forward(self, rows):
                if self.training:
                    self.met.append(rows.flatten(1))
                return super().forward(rows.flatten(1))

        return Layer()

    def fit(self, train, val, ctx):
        import numpy as np
        import torch

        note_ids("classifier", train, val)
        network = self.build(train.space)
        predict = self.fit_network(network, train, ctx)
        name = f"met-{len(list(directory().glob('met-*')))}.npz"
        np.savez(directory() / name, weights=network.first, rows=torch.cat(network.met))
        return predict


@dataclass(frozen=True)
class Waits(Classifier):
    """Start a child, note both process numbers, and wait until somebody makes the file `go`."""

    name = "waits"

    def fit(self, train, val, ctx):
        child = subprocess.Popen(["sleep", "600"])
        path = directory() / f"waits-{os.getpid()}.json"
        path.with_suffix(".new").write_text(json.dumps([os.getpid(), child.pid]))
        path.with_suffix(".new").rename(path)
        end = time.monotonic() + PATIENCE_SECONDS
        while not (directory() / "go").exists() and time.monotonic() < end:
            time.sleep(0.05)
        return lambda rows: rows.new_zeros(len(rows), train.space.n_classes)


@dataclass(frozen=True)
class WantsFile(Classifier):
    """Fail where there is no file `file`."""

    name = "wants-file"

    def fit(self, train, val, ctx):
        (directory() / "file").read_text()
        return lambda rows: rows.new_zeros(len(rows), train.space.n_classes)


@dataclass(frozen=True)
class Dies(Classifier):
    """Be killed by the system, as when memory is short."""

    name = "dies"

    def fit(self, train, val, ctx):
        os.kill(os.getpid(), signal.SIGKILL)
