"""Pixels as features, so that image-space methods stand in the same table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from benchfw import Context, Extractor, hookimpl, param

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from benchfw.data import Layout


@hookimpl
def register_extractors(register: Callable[[type], None]) -> None:
    """Register `pixels`."""
    register(Pixels)


@dataclass(frozen=True)
class Pixels(Extractor):
    """The pixels themselves in [0, 1], as vectors, which every method takes, or as maps with `pixels@map`.

    Nothing is learned and nothing is lost, so an augmenter or a classifier on these features works in image space. It
    is the yardstick for every extractor: features that do not beat it are not worth their training. It has no head.
    """

    name = "pixels"
    source = "identity"
    presets: ClassVar = {"map": {"flat": False}}

    flat: bool = param(True, "a vector of C * H * W numbers; false: a map (C, H, W), for methods that convolve")

    @property
    def layout(self) -> Layout:
        """A vector, or a map where `flat` is false."""
        return "vector" if self.flat else "map"

    def embed(self, images: Tensor, ctx: Context) -> Tensor:
        """(B, C, H, W) uint8 -> (B, C * H * W) or the same shape, float32 in [0, 1]."""
        scaled = images.float() / 255
        return scaled.flatten(1) if self.flat else scaled
