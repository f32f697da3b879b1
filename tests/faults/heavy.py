"""A plugin that loads numpy when it is imported."""

from dataclasses import dataclass

import numpy as np

from faults.synthesizers import Noisy


@dataclass(frozen=True)
class Heavy(Noisy):
    """Sound, but for the import above."""

    name = "heavy"

    def rows(self, train, labels, rng):
        return super().rows(train, labels, rng) * float(np.float32(1.0))


FAULTS = {Heavy: {"light-import"}}
