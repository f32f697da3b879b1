"""Whether the generator is alive: its rows beside real ones, class by class, while it trains and at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchfw.training import EMBEDDING_BATCH
from benchfw_gan_feature.looks import FEWEST, mean_of_pairs, own_rng, rows_compared, some_of_class

if TYPE_CHECKING:
    from benchfw import Context, FeatureSet
    from benchfw_gan_feature.product import Product
    from benchfw_gan_feature.scaling import Scaling

NEIGHBOURS = 5

LOW_DIVERSITY = 0.3
HIGH_ENERGY = 0.3
NOISE_DIVERSITY = 1.3
LOW_CONSISTENCY = 0.5

CURE = "more steps or a lower lr"


class Health:
    """Compares generated with real training rows in standardised space.

    It draws from a generator of its own, so that looking changes nothing. At most 100 rows of a class are compared, so
    for larger classes `memorised` is a lower bound. Alarms are given for classes below the largest count: no row is
    drawn for the others.
    """

    def __init__(self, train: FeatureSet, scaling: Scaling, ctx: Context, name: str = "gan-feature"):
        self.train, self.scaling, self.ctx, self.name = train, scaling, ctx, name
        self.rng = own_rng("health", ctx.seed, ctx.device)
        self.needed = train.counts() < train.counts().max()  # (K,)
        self.rows = rows_compared(train)
        self.real = [some_of_class(train, c, self.rows, scaling, self.rng) for c in range(train.space.n_classes)]
        head = train.space.new_head()
        self.head = None if head is None else head.to(ctx.device).eval()
        self.figures: dict[str, Tensor] = {}

    @torch.no_grad()
    def look(self, product: Product, **figures: float) -> None:
        """Measure generated rows of all classes and log a line of numbers beside these; undefined ones are left out."""
        labels = torch.arange(len(self.real)).repeat_interleave(self.rows)
        made = product(labels, self.rng)
        fakes = self.scaling.standardise(made).flatten(1).split(self.rows)
        by_class = [likeness(real, fake) for real, fake in zip(self.real, fakes, strict=True)]
        self.figures = {name: torch.tensor([row[name] for row in by_class]) for name in by_class[0]}
        right = self.assigned(made).cpu() == labels
        self.figures["consistency"] = right.float().reshape(-1, self.rows).mean(1)
        line = {key: value for name, values in self.figures.items() for key, value in _spread(name, values).items()}
        self.ctx.log(**figures, **line)

    def assigned(self, made: Tensor) -> Tensor:
        """Classify rows by the extractor's head, adjusted for its prior; without a head by the nearest class mean.

        made: (M, *shape) -> (M,) int64.
        """
        if self.head is None:
            means = self.scaling.standardise(self.scaling.means).flatten(1)  # (K, D)
            return torch.cdist(self.scaling.standardise(made).flatten(1), means).argmin(1)
        prior = self.train.natural_prior.to(made)
        return torch.cat([(self.head(rows) - prior.log()).argmax(1) for rows in made.split(EMBEDDING_BATCH)])

    def alarm(self, cure: str = CURE) -> None:
        """Warn in one line for each thing that is wrong with the rows of the last look, naming classes and cure."""
        diversity, energy, consistency = (self.figures[name] for name in ("diversity", "energy", "consistency"))
        judge = "nearest class mean" if self.head is None else "extractor's head"
        noise = (consistency < LOW_CONSISTENCY) & (diversity > NOISE_DIVERSITY)
        for wrong, what in (
            (diversity < LOW_DIVERSITY, f"vary less than {LOW_DIVERSITY} times as much as real rows: collapsed"),
            (energy > HIGH_ENERGY, f"lie farther than {HIGH_ENERGY} from real rows in relative energy distance"),
            (noise, f"vary too much and the {judge} gives less than half of them their class: noise"),
        ):
            self.warn(wrong, f"{what}; try {cure}")
        self.warn(diversity.isnan(), f"cannot be judged: fewer than {FEWEST} real rows, or all of them the same")

    def warn(self, wrong: Tensor, what: str) -> None:
        """One warning for the needed classes where `wrong`, (K,) bool, is true; none where there are none."""
        named = (wrong & self.needed).nonzero()[:, 0].tolist()
        if named:
            self.ctx.warn(f"{self.name}: generated rows of class {', '.join(map(str, named))} {what}")


def likeness(real: Tensor, fake: Tensor) -> dict[str, float]:
    """How generated rows of one class compare with its real rows, by Euclidean distances. real: (R, D); fake: (M, D).

    diversity: mean distance between two generated rows over that between two real ones; 1 is right, 0 a collapse.
    energy: the energy distance, unbiased, over the mean distance between two real rows; 0 is right.
    coverage: share of real rows with a generated row nearer than their 5th real neighbour (Naeem et al. 2020, eq. 9).
    memorised: share of generated rows ten times nearer to a real row than that is to its own nearest real row.
    NaN with fewer than 3 real rows or real rows that are all the same.
    """
    near, own, across = torch.cdist(real, real), torch.cdist(fake, fake), torch.cdist(fake, real)  # across: (M, R)
    typical, varied = mean_of_pairs(near), mean_of_pairs(own)
    if len(real) < FEWEST or typical == 0:
        return dict.fromkeys(("diversity", "energy", "coverage", "memorised"), float("nan"))
    ranked = near.fill_diagonal_(torch.inf).sort(1).values  # (R, R)
    radius = ranked[:, min(NEIGHBOURS, len(real) - 1) - 1]
    nearest = across.min(1)
    return {
        "diversity": varied / typical,
        "energy": (2 * float(across.mean()) - varied - typical) / typical,
        "coverage": float((across.amin(0) < radius).float().mean()),
        "memorised": float((nearest.values < 0.1 * ranked[nearest.indices, 0]).float().mean()),
    }


def _spread(name: str, values: Tensor) -> dict[str, float]:
    """Lowest, median and highest of the classes where the figure is defined."""
    defined = values[values.isfinite()]
    if not len(defined):
        return {}
    return {f"{name}_{word}": float(getattr(defined, word)()) for word in ("min", "median", "max")}
