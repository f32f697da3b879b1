"""The named settings, each written out whole, so that none moves when the defaults do."""

from __future__ import annotations

from typing import Any

STABLE: dict[str, Any] = {
    "loss": "wasserstein",
    "penalty": 10.0,
    "condition": "projection",
    "critic_norm": "none",
    "generator_norm": "none",
    "maps": "pyramid",
    "row3": 1,
    "output": "residual",
    "floor": True,
    "scaling": "standard",
    "init": "torch",
    "z": 64,
    "width": 256,
    "slope": 0.2,
    "critic_steps": 3,
    "batch": 64,
    "lr": 5e-4,
    "critic_lr": 5e-4,
    "beta1": 0.5,
    "beta2": 0.9,
    "average": 0.99,
    "labels": "uniform",
    "matched": True,
    "head_every": 0,
    "real_every": 0,
    "guided": False,
    "fake_weight": 1.0,
    "patience": 0,
}

HINGE = STABLE | {"loss": "hinge", "penalty": 0.0, "critic_norm": "spectral"}

PAPER: dict[str, Any] = {
    "loss": "bce",
    "penalty": 0.0,
    "condition": "none",
    "critic_norm": "batch",
    "generator_norm": "batch",
    "maps": "table",
    "row3": 1,
    "output": "tanh-bn",
    "floor": False,
    "scaling": "none",
    "init": "normal",
    "z": 100,
    "width": None,
    "slope": 0.2,
    "critic_steps": 1,
    "batch": 40,
    "lr": 1e-3,
    "critic_lr": 1e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "average": 0.0,
    "labels": "deficit",
    "matched": False,
    "head_every": 2,
    "real_every": 5,
    "guided": True,
    "fake_weight": 1.0,
    "patience": 10,
}

DFG = PAPER | {
    "loss": "wasserstein",
    "penalty": 10.0,
    "critic_norm": "none",
    "init": "torch",
    "critic_steps": 5,
    "batch": 64,
    "lr": 1e-4,
    "beta2": 0.9,
    "labels": "uniform",
    "head_every": 1,
}

UNTAUGHT = {"steps": 600, "head_lr": 1e-4, "head_beta1": 0.9, "head_beta2": 0.999, "head_batch_norm": "frozen"}
DRAWN = {"spread": 1.0, "gaussian": 0.0}
TAUGHT = {"steps": 2000, "head_lr": 1e-7, "head_beta1": 0.9, "head_beta2": 0.999, "head_batch_norm": "train"}

SYNTHESIZER = {
    "paper": PAPER | TAUGHT | DRAWN,
    "stable": STABLE | UNTAUGHT | DRAWN,
    "mixed": STABLE | UNTAUGHT | DRAWN | {"gaussian": 0.5},
    "wide": STABLE | UNTAUGHT | DRAWN | {"spread": 2.0},
    "hinge": HINGE | UNTAUGHT | DRAWN,
    "dfg": DFG | TAUGHT | DRAWN | {"steps": 4000, "head_lr": 1e-4, "head_beta1": 0.5, "head_beta2": 0.9},
}

SCHEDULE = {"head_every": 2, "real_every": 5}  # the report's; without one the joint form has nothing to train

JOINT = {"paper": PAPER, "stable": STABLE | SCHEDULE, "hinge": HINGE | SCHEDULE, "dfg": DFG}
