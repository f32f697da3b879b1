"""Noise on repeated rows."""

from dataclasses import dataclass

from benchfw import Context, FeatureSet, Synthesizer, hookimpl, param


@hookimpl
def register_augmenters(register):
    register(Jitter)


@dataclass(frozen=True)
class Jitter(Synthesizer):
    """Repeat rows of the small classes, each time with fresh Gaussian noise."""

    name = "jitter"
    source = "noise injection"
    scale: float = param(0.1, "noise, in standard deviations of the training features", ge=0)

    def fit(self, train: FeatureSet, val: FeatureSet | None, ctx: Context):
        import torch

        deviation = self.scale * train.scale()
        return lambda labels, rng: torch.normal(train.draw(labels, rng), deviation, generator=rng)
