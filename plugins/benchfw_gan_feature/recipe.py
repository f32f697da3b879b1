"""What the two augmenters of this plugin share: every choice that their presets make, as a parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from benchfw import UsageError, param


@dataclass(frozen=True)
class Recipe:
    """The networks, losses and schedule of the GAN; mixed into a role. Raises UsageError for what cannot be trained."""

    name: ClassVar[str]

    loss: Literal["wasserstein", "hinge", "bce"] = param("wasserstein", "what the players minimise; bce: log loss")
    penalty: float = param(10.0, "weight of the critic's gradient penalty; 0: none, and then bf16 may be used", ge=0)
    condition: Literal["projection", "concat", "none"] = param("projection", "how the critic learns of the class")
    critic_norm: Literal["none", "spectral", "batch", "layer"] = param("none", "norm in the critic, not on its score")
    generator_norm: Literal["none", "batch"] = param("none", "norm after the generator's hidden layers")
    maps: Literal["pyramid", "table"] = param("pyramid", "networks for large maps; table: the report's rows")
    row3: Literal[1, 5] = param(1, "kernel of the generator's row 3 in `table`; 5 has only its centre in use")
    output: Literal["residual", "linear", "tanh", "tanh-bn"] = param("residual", "how the generator ends")
    floor: bool = param(True, "cut generated rows off at the features' least value")
    scaling: Literal["standard", "minmax", "tanh", "none"] = param("standard", "how the networks see the features")
    init: Literal["torch", "normal"] = param("torch", "initial weights; normal: N(0, 0.02), biases 0")
    z: int = param(64, "length of the noise vector", ge=1)
    width: int | None = param(256, "units of a hidden layer, or channels; none: those of a large map, else 256", ge=1)
    slope: float = param(0.2, "LeakyReLU's slope below zero", ge=0, lt=1)
    critic_steps: int = param(3, "critic steps before each generator step", ge=1)
    batch: int = param(64, "real rows, and as many generated ones, in a step", ge=2)
    lr: float = param(5e-4, "the generator's rate, in Adam", gt=0)
    critic_lr: float = param(5e-4, "the critic's rate, in Adam", gt=0)
    beta1: float = param(0.5, "Adam's decay of the mean gradient, for both players", ge=0, lt=1)
    beta2: float = param(0.9, "Adam's decay of the squared gradient, for both players", ge=0, lt=1)
    average: float = param(0.99, "decay of the generator's averaged weights; 0: the last weights", ge=0, lt=1)
    labels: Literal["uniform", "deficit"] = param("uniform", "law of the generated labels; deficit: n_max - n_c")
    matched: bool = param(True, "real rows for the critic have the generated ones' classes; false: as they come")
    head_every: int = param(0, "the classifier learns generated rows every so many steps; 0: never", ge=0)
    real_every: int = param(0, "it learns real rows every so many steps; 0: never", ge=0)
    guided: bool = param(False, "its cross-entropy on generated rows trains the generator too")
    fake_weight: float = param(1.0, "weight of that cross-entropy", gt=0)
    watch: int = param(100, "generator steps between two looks at the generated rows; 0: only at the end", ge=0)
    patience: int = param(0, "looks (see watch) without a better validation figure before it stops; 0: never", ge=0)

    def __post_init__(self) -> None:
        if self.critic_norm == "batch" and self.penalty:
            raise UsageError(
                f"{self.name}: a gradient penalty is on single rows, which critic_norm=batch mixes; "
                f"found penalty={self.penalty:g}; set penalty=0 or another critic_norm"
            )
        if self.condition != "none" and not self.matched:
            raise UsageError(
                f"{self.name}: a critic with condition={self.condition} wants real rows of the same classes; "
                "set matched=true or condition=none"
            )
        if self.patience and not self.watch:
            raise UsageError(
                f"{self.name}: patience={self.patience} counts looks, but with watch=0 there is one, at the end; "
                "set watch above 0 or patience=0"
            )
