"""Imbalance: which training samples stay, in the formulas that the field uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from benchfw.errors import CannotRun, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

KINDS = ("natural", "exp", "step", "counts")
GRAMMAR = "natural, exp:R, step:R or counts:a,b,... (150x8 repeats); :permuted shuffles which class gets which count"
RUN = re.compile(r"([1-9][0-9]{0,17})(?:x([1-9][0-9]{0,17}))?")
MOST_COUNTS = 100_000  # of `counts`, so that a slip of the finger does not fill the memory


@dataclass(frozen=True)
class Imbalance:
    """A training distribution: `natural`, `exp:R`, `step:R` or `counts:a,b,...`, with `:permuted` or without.

    kind: one of natural, exp, step, counts. ratio: largest over smallest count, at least 1, for exp and step.
    counts: samples for each position. permuted: the positions are given to the classes anew in each repetition;
    otherwise position i is class i, as in the long-tail literature.

    Source: exp and step are those of LDAM-DRW (kaidic/LDAM-DRW, imbalance_cifar.py), whose `imb_factor` is 1 / ratio.
    """

    kind: str
    ratio: float = 1.0
    counts: tuple[int, ...] = ()
    permuted: bool = False

    @classmethod
    def parse(cls, text: str) -> Imbalance:
        """Read the text of an imbalance. Raises UsageError with the grammar when it is none."""
        head, *rest = text.strip().split(":")
        permuted = rest[-1:] == ["permuted"]
        values = rest[:-1] if permuted else rest
        try:
            if head == "natural" and not rest:
                return cls("natural")
            if head in ("exp", "step") and len(values) == 1 and 1 <= float(values[0]) < float("inf"):
                return cls(head, ratio=float(values[0]), permuted=permuted)
            if head == "counts" and len(values) == 1:
                return cls("counts", counts=_counts(values[0]), permuted=permuted)
        except ValueError:
            pass
        raise UsageError(f"imbalance {text!r} cannot be read; wants {GRAMMAR}")

    def __str__(self) -> str:
        """The canonical text; `parse` of it gives the same imbalance."""
        if self.kind == "natural":
            return "natural"
        value = ",".join(_run(n, len(list(same))) for n, same in groupby(self.counts))
        value = value or repr(self.ratio).removesuffix(".0")
        return f"{self.kind}:{value}" + (":permuted" if self.permuted else "")

    def targets(self, available: Sequence[int], order: Sequence[int] | None = None) -> list[int]:
        """How many samples of each class stay.

        available: (K,) samples of each class. order: (K,) the class at each position, largest count first; default
        0..K-1. For exp and step the largest count is the largest for which every class has its share, so the ratio is
        exact on unequal classes too, and equals the usual formula on equal ones:

            exp:   n_i = int(n_max * ratio ** (-i / (K - 1)))
            step:  the first K // 2 positions n_max, the others int(n_max / ratio)

        Raises CannotRun when a class would be left empty or has fewer samples than `counts` asks.
        """
        classes = len(available)
        order = list(range(classes)) if order is None else list(order)
        if self.kind == "natural":
            wanted = [available[c] for c in order]
        elif self.kind == "counts":
            wanted = list(self.counts)
            if len(wanted) != classes:
                raise CannotRun(f"imbalance {self} names {len(wanted)} counts, but the data has {classes} classes")
        else:
            share = self._shares(classes)
            n_max = min(_largest(available[c], s) for c, s in zip(order, share, strict=True))
            wanted = [_floor(n_max * s) for s in share]
        by_class = [0] * classes
        for c, n in zip(order, wanted, strict=True):
            by_class[c] = n
            if n < 1:
                left = f"class {c} with 0 of its {available[c]} training samples"
                raise CannotRun(f"imbalance {self} leaves {left}; choose a smaller ratio")
            if n > available[c]:
                raise CannotRun(
                    f"imbalance {self} asks {n} samples of class {c}, which has {available[c]}; ask for fewer"
                )
        return by_class

    def _shares(self, classes: int) -> list[float]:
        mu = 1 / self.ratio
        if self.kind == "exp":
            return [mu ** (i / max(classes - 1, 1)) for i in range(classes)]
        return [1.0 if i < classes // 2 else mu for i in range(classes)]

    def keep(self, labels: torch.Tensor, classes: int, rng: torch.Generator) -> torch.Tensor:
        """The indices that stay, ascending. labels: (N,) int64 in [0, classes). Returns (N',) int64.

        Each class is shuffled once and its first n_c samples stay, so a smaller set of the same repetition is a part of
        the larger one. rng is a CPU generator; the class permutation is drawn from it first.
        """
        import torch

        order = torch.randperm(classes, generator=rng).tolist()
        available = torch.bincount(labels, minlength=classes).tolist()
        targets = self.targets(available, order if self.permuted else None)
        kept = []
        for c, n in enumerate(targets):
            members = (labels == c).nonzero()[:, 0]  # (n_c,)
            kept.append(members[torch.randperm(len(members), generator=rng)[:n]])
        return torch.cat(kept).sort().values


def _counts(text: str) -> tuple[int, ...]:
    runs = [_repeated(part) for part in text.split(",")]
    classes = sum(times for _, times in runs)
    if classes > MOST_COUNTS:
        raise UsageError(f"imbalance counts: wants at most {MOST_COUNTS} counts, found {classes}; one for each class")
    return tuple(count for count, times in runs for _ in range(times))


def _repeated(part: str) -> tuple[int, int]:
    found = RUN.fullmatch(part.strip())
    if found is None:
        raise ValueError(part)
    count, times = found.groups(default="1")
    return int(count), int(times)


def _run(count: int, times: int) -> str:
    return str(count) if times == 1 else f"{count}x{times}"


def _largest(available: int, share: float) -> int:
    """The largest n with n * share <= available."""
    return _floor(available / share)


def _floor(number: float) -> int:
    """Round down, but not a whole number that floating point left a hair below: 49 * (1 / 49) is 1."""
    return int(number + 1e-9)
