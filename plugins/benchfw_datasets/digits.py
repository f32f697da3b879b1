"""scikit-learn's digits as an ImageDataset."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from benchfw import ImageDataset, ImageSet, Source


def load(licence: str, origin: str) -> ImageDataset:
    """Levels 0..16 as round(level * 255 / 16): (1797, 1, 8, 8) uint8, in scikit-learn's order."""
    digits = load_digits()
    levels = torch.from_numpy(digits.images).unsqueeze(1)  # (N, 1, 8, 8) float64
    images = (levels * 255 / 16).round().to(torch.uint8)
    labels = torch.from_numpy(digits.target).long()
    names = tuple(str(name) for name in digits.target_names)
    return ImageDataset(ImageSet(images, labels), names, source=Source(licence, origin, public=True))
