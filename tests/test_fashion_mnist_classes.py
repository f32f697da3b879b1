"""A part of Fashion-MNIST's classes."""

import pytest
import torch

from benchfw.errors import DataError
from benchfw.registry import installed


def loaded(ctx, **parameters):
    try:
        return installed().get("dataset", "fashion-mnist")(**parameters).load(ctx)
    except DataError as error:
        pytest.skip(f"Fashion-MNIST is not here: {error}")


def test_the_first_classes_keep_their_images_and_labels(ctx):
    six, ten = loaded(ctx, classes=6), loaded(ctx)
    assert six.class_names == ten.class_names[:6]
    for name, size in (("train", 36_000), ("test", 6_000)):
        part, whole = six.parts[name], ten.parts[name]
        assert part.labels.bincount().tolist() == [size // 6] * 6
        kept = whole.take((whole.labels < 6).nonzero()[:, 0])
        every = torch.arange(len(part))
        assert torch.equal(part.rows(every), kept.rows(every))
        assert torch.equal(part.labels, kept.labels)


def test_all_ten_are_the_data_set_as_published(ctx):
    ten = loaded(ctx, classes=10)
    assert ten.fingerprint == loaded(ctx).fingerprint
    assert ten.train.labels.bincount().tolist() == [6_000] * 10
