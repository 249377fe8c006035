"""Weight decay that acts on a weight only where the optimizer makes it smaller as well."""

from __future__ import annotations

import torch
from torch.optim import Optimizer


def cautious_step(optimizer: Optimizer) -> None:
    """A step of AdamW with cautious weight decay (Chen et al. 2025, arXiv 2510.12402, algorithm 1).

    A weight w with the update u becomes w - lr u - lr decay w, the last term only where u w >= 0.
    """
    decays = [group["weight_decay"] for group in optimizer.param_groups]
    before = [[weight.detach().clone() for weight in group["params"]] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.0
    optimizer.step()
    with torch.no_grad():
        for group, decay, weights in zip(optimizer.param_groups, decays, before, strict=True):
            group["weight_decay"] = decay
            for weight, old in zip(group["params"], weights, strict=True):
                shrinks = (old - weight) * old >= 0
                weight.sub_(group["lr"] * decay * old * shrinks)
