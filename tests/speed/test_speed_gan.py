"""The time of the hand-written spectral norm beside torch's parametrisation and no norm, on one 256 x 256 layer.

The ratio of the rows is the result; nothing is asserted about time.
"""

import pytest
import torch
from torch import nn

from benchfw_gan_feature.layers import Spectral

LAYERS = {
    "without norm": lambda: nn.Linear(256, 256),
    "benchfw": lambda: Spectral(nn.Linear(256, 256)),
    "torch": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(256, 256)),
}


@pytest.mark.benchmark(group="spectral norm")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_training_pass_of_a_layer_with_spectral_norm(benchmark, layer):
    network, rows = LAYERS[layer](), torch.rand(64, 256)

    def forward_and_backward():
        network(rows).square().mean().backward()

    benchmark(forward_and_backward)
    assert all(weight.grad is not None for weight in network.parameters())
