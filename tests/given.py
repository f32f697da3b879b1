"""A plugin of the tests: data sets that bring their features, read from a file, and two that break the contract."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchfw import DataError, Dataset, FeatureDataset, FeatureSet, FeatureSpace, Source, hookimpl, param


@hookimpl
def register_datasets(register):
    for component in (Saved, Undeclared, Promised):
        register(component)


@dataclass(frozen=True)
class Saved(Dataset):
    """Features, labels, and where the file has them groups, a test part, and the weights of a linear head."""

    name = "saved"
    path: str = param("features.npz", "the file")
    names: str = param("a b c", "names of the classes")

    @property
    def gives(self):
        return frozenset({"features", "head"})

    def load(self, ctx):
        if not Path(self.path).is_file():
            raise DataError(f"saved: {self.path}: no such file; correct dataset.saved.path")
        with np.load(self.path) as kept:
            found = {name: torch.from_numpy(kept[name]) for name in kept}
        head = linear_head(found["weight"], found["bias"]) if "weight" in found else None
        space = FeatureSpace(tuple(found["values"].shape[1:]), n_classes=3, head=head)
        train = FeatureSet(space, found["values"], found["labels"], groups=found.get("groups"))
        test = FeatureSet(space, found["test_values"], found["test_labels"]) if "test_values" in found else None
        names = tuple(self.names.split())
        return FeatureDataset(train, class_names=names, test=test, source=Source("CC0", "a test"))

    def files(self, downloads):
        return [path] if (path := Path(self.path)).is_file() else []


def linear_head(weight, bias):
    def head():
        layer = nn.Linear(*reversed(weight.shape))
        with torch.no_grad():
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        return nn.Sequential(nn.Flatten(), layer)

    return head


@dataclass(frozen=True)
class Undeclared(Saved):
    """Features from a data set that does not say that it has some."""

    name = "undeclared"
    gives = frozenset()


@dataclass(frozen=True)
class Promised(Dataset):
    """Images from a data set that says it gives features."""

    name = "promised"
    gives = frozenset({"features"})

    def load(self, ctx):
        from benchfw_datasets import Digits

        return Digits().load(ctx)
