"""Pixels as features, so that image-space methods stand in the same table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchfw import Context, Extractor, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@hookimpl
def register_extractors(register: Callable[[type], None]) -> None:
    """Register `pixels`."""
    register(Pixels)


@dataclass(frozen=True)
class Pixels(Extractor):
    """The pixels themselves, as a (C, H, W) map in [0, 1].

    Nothing is learned and nothing is lost, so an augmenter or a classifier on these features works in image space. It
    is the yardstick for every extractor: features that do not beat it are not worth their training. It has no head.
    """

    name = "pixels"
    source = "identity"
    layout = "map"

    def embed(self, images: Tensor, ctx: Context) -> Tensor:
        """(B, C, H, W) uint8 -> the same shape, float32 in [0, 1]."""
        return images.float() / 255
