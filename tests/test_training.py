"""The shared stream, the epochs of images, the loop and the losses."""

import pytest
import torch
from torch import nn

from benchfw import DataError, FeatureSet, FeatureSpace, ImageSet, PluginError, training
from benchfw.data import Synthesis, target_counts

COUNTS = torch.tensor([40, 10, 4])
LABELS = torch.repeat_interleave(COUNTS)[torch.randperm(54, generator=torch.Generator().manual_seed(3))]


def numbered(synthesis=None):
    """54 real rows in 2 dimensions: the row's number and its class; what is synthetic is negative."""
    values = torch.stack([torch.arange(54), LABELS], dim=1).float()
    return FeatureSet(FeatureSpace((2,), 3), values, LABELS, ids=torch.arange(54), synthesis=synthesis)


def made(how, fill=1.0, seed=5):
    return Synthesis(how, target_counts(COUNTS, fill), seed)


def constant(value):
    return lambda labels, rng: torch.stack([torch.full((len(labels),), value), labels.float()], dim=1)


def noise(labels, rng):
    random = -1 - torch.rand(len(labels), generator=rng)
    return torch.stack([random, labels.float()], dim=1)


def drained(train, steps=40, batch=16, seed=11):
    rows, labels = zip(*training.stream(train, steps=steps, batch=batch, seed=seed), strict=True)
    return torch.stack(rows), torch.stack(labels)  # (S, B, D), (S, B)


def test_stream_gives_as_many_batches_as_steps_and_rows_of_their_labels():
    rows, labels = drained(numbered(), steps=70)
    assert rows.shape == (70, 16, 2)
    assert torch.equal(rows[..., 1].long(), labels)
    assert torch.equal(LABELS[rows[..., 0].long()], labels)


def test_two_synthesizers_meet_the_same_labels_and_the_same_real_rows():
    rows, labels = drained(numbered(made(constant(-7.0))))
    other_rows, other_labels = drained(numbered(made(noise, seed=99)))
    assert torch.equal(labels, other_labels)
    real = rows[..., 0] >= 0
    assert torch.equal(real, other_rows[..., 0] >= 0)
    assert torch.equal(rows[real], other_rows[real])
    assert 0.2 < real.double().mean() < 0.8


def test_the_number_of_steps_does_not_change_the_first_batches():
    few, many = drained(numbered(made(constant(-1.0))), steps=7), drained(numbered(made(constant(-1.0))), steps=45)
    assert torch.equal(few[0], many[0][:7])
    assert torch.equal(few[1], many[1][:7])


def test_without_synthesis_the_stream_differs_by_its_prior_alone():
    rows, labels = drained(numbered())
    balanced, balanced_labels = drained(numbered(made(constant(-1.0))))
    same = (labels == balanced_labels) & (balanced[..., 0] >= 0)
    assert int(same.sum()) > 50
    assert torch.equal(rows[same], balanced[same])


def test_the_stream_meets_the_prior_and_the_share_of_real_rows_of_the_targets():
    rows, labels = drained(numbered(made(constant(-1.0), fill=0.5)), steps=600, batch=32)
    targets = torch.tensor([40.0, 25.0, 22.0])
    shares = labels.flatten().bincount(minlength=3) / labels.numel()
    torch.testing.assert_close(shares, targets / targets.sum(), atol=0.015, rtol=0)
    for c, share in enumerate((40 / 40, 10 / 25, 4 / 22)):
        real = (rows[..., 0] >= 0)[labels == c].double().mean().item()
        assert real == pytest.approx(share, abs=0.02)


def test_every_real_row_of_a_class_is_as_likely_as_another():
    rows, _ = drained(numbered(), steps=1000, batch=54)
    times = rows[..., 0].long().flatten().bincount(minlength=54) / 1000
    torch.testing.assert_close(times, torch.ones(54), atol=0.16, rtol=0)  # 5 standard deviations


def test_a_synthesizer_of_wrong_shape_or_of_nan_is_refused():
    wide = numbered(made(lambda labels, rng: torch.zeros(len(labels), 3)))
    with pytest.raises(PluginError, match=r"wants float32 \(\d+, 2\), found torch.float32 \(\d+, 3\)"):
        drained(wide)
    with pytest.raises(PluginError, match="NaN"):
        drained(numbered(made(constant(float("nan")))))


def image_set(n):
    return ImageSet(torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1), torch.arange(n) % 3)


@pytest.mark.parametrize(("n", "batch"), [(30, 10), (30, 7), (5, 12)])
def test_image_batches_show_each_image_once_an_epoch(ctx, n, batch):
    batches = list(training.image_batches(image_set(n), steps=21, batch=batch, ctx=ctx))
    assert {len(labels) for _, labels in batches} == {batch}
    order = torch.cat([images.flatten().long() for images, _ in batches])
    assert torch.equal(torch.cat([labels for _, labels in batches]), order % 3)
    epochs = order[: len(order) // n * n].view(-1, n)
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(n).expand_as(epochs))
    assert len(epochs.unique(dim=0)) > 1


def test_fit_equals_a_plain_loop_with_adam(ctx):
    rng = torch.Generator().manual_seed(1)
    batches = [(torch.randn(8, 4, generator=rng), torch.randint(0, 3, (8,), generator=rng)) for _ in range(30)]
    fitted, plain = nn.Linear(4, 3), nn.Linear(4, 3)
    plain.load_state_dict(fitted.state_dict())
    training.fit(fitted, batches, steps=30, lr=0.01, loss=training.cross_entropy, ctx=ctx)
    optimiser = torch.optim.Adam(plain.parameters(), lr=0.01)
    for rows, labels in batches:
        optimiser.zero_grad()
        nn.functional.cross_entropy(plain(rows), labels).backward()
        optimiser.step()
    torch.testing.assert_close(fitted.weight, plain.weight, atol=1e-6, rtol=1e-5)
    assert len(ctx.records) == 30
    assert ctx.records[-1]["step"] == 30


def test_fit_says_when_the_loss_is_no_longer_finite(ctx):
    batches = [(torch.full((4, 2), float("inf")), torch.zeros(4, dtype=torch.int64))] * 3
    with pytest.raises(DataError, match="lower lr"):
        training.fit(nn.Linear(2, 3), batches, steps=3, lr=1.0, loss=training.cross_entropy, ctx=ctx)


def test_balanced_softmax_is_the_logit_adjusted_loss_at_tau_1():
    rng = torch.Generator().manual_seed(2)
    logits, labels = torch.randn(9, 3, generator=rng), torch.randint(0, 3, (9,), generator=rng)
    prior = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    own = logits.double().gather(1, labels[:, None])[:, 0] + prior[labels].log()
    adjusted = (((logits.double().exp() * prior).sum(1)).log() - own).mean()
    assert training.balanced_softmax(prior)(logits, labels).item() == pytest.approx(adjusted.item(), rel=1e-5)


def test_a_predictor_gives_the_same_log_probabilities_however_many_rows_it_gets():
    network = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    rows = torch.randn(600, 4, generator=torch.Generator().manual_seed(0))
    scores = training.predictor(network)(rows)
    torch.testing.assert_close(scores.exp().sum(1), torch.ones(600))
    torch.testing.assert_close(training.predictor(network)(rows[:7]), scores[:7])
