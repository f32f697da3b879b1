"""The report's convolutional generator and discriminator, row by row, and the rule that carries them to other maps.

With W = `width` channels (512 in the report, there the channels of the features) the rows have 4 W, 2 W and W channels.
The table has one doubling of the map, 5 to 10; other sizes have as many as it takes to get from a map without a side
above 5 to theirs, each the next size halved and rounded up, so at 10 x 10 the rule gives the table itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from benchfw_gan_feature.layers import Style, ending, pyramid

if TYPE_CHECKING:
    from benchfw_gan_feature.recipe import Recipe

SMALLEST = 5  # longest side of the map at the generator's row 4 and before the discriminator's row 4


def table_decoder(inputs: int, shape: tuple[int, ...], width: int, recipe: Recipe) -> nn.Sequential:
    """Rows 2 to 6 of the generator: noise and class (B, inputs) -> (B, C, H, W)."""
    style = Style(recipe.generator_norm, recipe.slope)
    first, *larger = pyramid(shape[1], shape[2], SMALLEST)
    rows = nn.Sequential()
    rows.add_module("row2", nn.Sequential(nn.Linear(inputs, 4 * width), nn.Unflatten(1, (4 * width, 1, 1))))
    rows.add_module("row3", style.deconv(4 * width, 4 * width, recipe.row3, padding=recipe.row3 // 2))
    rows.add_module("row4", style.deconv(4 * width, 2 * width, first))
    channels, size = 2 * width, first
    for number, target in enumerate(larger):
        odd = (target[0] - (2 * size[0] - 1), target[1] - (2 * size[1] - 1))  # 1 where the side is even
        deconv = style.deconv(channels, width, 5, stride=2, padding=2, output_padding=odd)
        rows.add_module(_numbered("row5", number), deconv)
        channels, size = width, target
    last = nn.ConvTranspose2d(channels, shape[0], 5, padding=2)
    rows.add_module("row6", nn.Sequential(last, *ending(recipe.output, shape)))
    return rows


def table_encoder(shape: tuple[int, ...], width: int, recipe: Recipe) -> tuple[nn.Sequential, int]:
    """Rows 2 to 7 of the discriminator, (B, C, H, W) -> (B, W / 8), and that length; row 8 is the score."""
    style = Style(recipe.critic_norm, recipe.slope)
    sizes = pyramid(shape[1], shape[2], SMALLEST)
    rows = nn.Sequential()
    rows.add_module("row2", style.conv(shape[0], width, 5, padding=2))
    channels = width
    for number in range(len(sizes) - 1):
        rows.add_module(_numbered("row3", number), style.conv(channels, 2 * width, 5, stride=2, padding=2))
        channels = 2 * width
    padding = (_last_padding(sizes[0][0]), _last_padding(sizes[0][1]))
    rows.add_module("row4", style.conv(channels, 4 * width, 5, stride=2, padding=padding))
    rows.add_module("row5", nn.Flatten())
    height, breadth = ((side + 2 * pad - 5) // 2 + 1 for side, pad in zip(sizes[0], padding, strict=True))
    code = max(1, width // 8)
    rows.add_module("row6", style.linear(4 * width * height * breadth, 2 * width))
    rows.add_module("row7", style.linear(2 * width, code))
    return rows, code


def _last_padding(side: int) -> int:
    """1 as in the table, 5 to 2; 2 where a side is too short for that."""
    return 1 if side >= 3 else 2


def _numbered(row: str, number: int) -> str:
    return row if number == 0 else f"{row}_{number + 1}"
