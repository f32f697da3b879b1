"""The noise has the deviation that its help promises."""

import torch
from benchfw import Context, FeatureSet, FeatureSpace

from benchfw_jitter import Jitter


def test_the_noise_has_half_the_deviation_of_the_features(tmp_path):
    train = FeatureSet(FeatureSpace((2,), n_classes=2), torch.tensor([[0.0, 0.0], [4.0, 8.0]]), torch.tensor([0, 1]))
    draw = Jitter(scale=0.5).fit(train, None, Context(seed=0, device=torch.device("cpu"), downloads=tmp_path))
    rows = draw(torch.ones(10_000, dtype=torch.int64), torch.Generator().manual_seed(0))  # jittered copies of (4, 8)
    wanted = torch.full((2,), 0.5 * 10**0.5)  # the variances are 4 and 16
    torch.testing.assert_close(rows.std(0), wanted, rtol=0.05, atol=0)
