"""Logistic regression: scikit-learn's fit, and a predictor in torch that stays on the rows' device."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional as F

from benchfw import CannotRun, Context

if TYPE_CHECKING:
    from benchfw.data import Predictor

FLOOR = float(np.log(np.finfo(np.float32).tiny))  # -87.3


def fitted(
    values: np.ndarray, labels: np.ndarray, *, n_classes: int, strength: float, max_iter: int, ctx: Context
) -> Predictor:
    """Fit scikit-learn's model and return its predictor.

    values: (N, D) float32. labels: (N,) int64. strength: scikit-learn's C. The predictor maps rows
    (M, D) float32 to log-scores (M, K) float32 on the rows' device, none below FLOOR. What scikit-learn warns of is
    said in the row. Raises CannotRun where fewer than two classes have rows.
    """
    present = np.unique(labels)
    if len(present) < 2:
        raise CannotRun(f"logistic: wants training rows of 2 classes, found {len(present)}; choose a milder imbalance")
    scaler = StandardScaler()
    standard = scaler.fit_transform(values.astype(np.float64))  # L-BFGS stalls early in float32
    model = LogisticRegression(C=strength, max_iter=max_iter)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(standard, labels)
    for warning in caught:
        ctx.warn(f"logistic: {str(warning.message).splitlines()[0]} (max_iter={max_iter})")
    weight, bias = _all_logits(model)
    return _predictor(_float(scaler.mean_), _float(scaler.scale_), weight, bias, torch.from_numpy(present), n_classes)


def _all_logits(model: LogisticRegression) -> tuple[Tensor, Tensor]:
    """Weights (K', D) and biases (K',) of the K' classes present; with two, scikit-learn keeps the second's alone."""
    weight, bias = _float(model.coef_), _float(model.intercept_)
    if len(model.classes_) == 2:
        return torch.cat([torch.zeros_like(weight), weight]), torch.cat([torch.zeros_like(bias), bias])
    return weight, bias


def _float(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).float()


def _predictor(mean: Tensor, scale: Tensor, weight: Tensor, bias: Tensor, present: Tensor, n_classes: int) -> Predictor:
    def predict(rows: Tensor) -> Tensor:
        there = rows.device
        standard = (rows - mean.to(there)) / scale.to(there)  # (M, D)
        known = F.log_softmax(F.linear(standard, weight.to(there), bias.to(there)), dim=1)  # (M, K')
        scores = known.new_full((len(rows), n_classes), FLOOR)
        scores[:, present.to(there)] = known.clamp(min=FLOOR)
        return scores

    return predict
