"""A plugin of the tests: a joint trainer with a loop of its own, which notes what it is handed in $PROBE_DIR."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from benchfw import JointTrainer, NeuralClassifier, hookimpl, param, training


@hookimpl
def register_augmenters(register):
    register(Twist)


@hookimpl
def register_classifiers(register):
    register(Noted)


def note(name, **tensors):
    from safetensors.torch import save_file

    plain = {key: value.detach().clone().contiguous() for key, value in tensors.items()}
    save_file(plain, Path(os.environ["PROBE_DIR"]) / f"{name}.safetensors")


@dataclass(frozen=True)
class Twist(JointTrainer):
    """Train on the shared stream with noise on its rows, and say that the labels came with the roots of the counts."""

    name = "twist"
    noise: float = param(0.0, "deviation of the noise; 0: plain training", ge=0)

    def fit_jointly(self, train, val, network, classifier, ctx):
        note(f"{self.name}-{classifier.name}", **network.state_dict())
        rng, loss = ctx.rng, training.loss_named(classifier.loss, train.prior)
        optimiser = torch.optim.Adam(network.parameters(), lr=classifier.lr, fused=True)
        network.train()
        for layer in training.batch_norms(network) if classifier.batch_norm == "frozen" else ():
            layer.eval()
        stream = training.stream(train, steps=classifier.steps, batch=classifier.batch, seed=ctx.seed)
        for step, (rows, labels) in enumerate(stream, start=1):
            optimiser.zero_grad()
            twisted = rows + self.noise * torch.randn(rows.shape, generator=rng) if self.noise else rows
            loss(network(twisted), labels).backward()
            optimiser.step()
            ctx.log(step=step)
        return training.predictor(network)

    def prior(self, train):
        roots = train.counts().double().sqrt()
        return roots / roots.sum()


@dataclass(frozen=True)
class Noted(NeuralClassifier):
    """A hidden layer, whose first weights are noted where it trains by itself."""

    name = "noted"

    def build(self, space):
        return nn.Sequential(nn.Flatten(), nn.Linear(space.size, 8), nn.ReLU(), nn.Linear(8, space.n_classes))

    def fit_network(self, network, train, ctx):
        note(f"none-{self.name}", **network.state_dict())
        return super().fit_network(network, train, ctx)
