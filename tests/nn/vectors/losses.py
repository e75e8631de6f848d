#!/usr/bin/env python3
"""Writes losses.json: PyTorch's losses, and gelu, in float64: their values and gradients.

The gradient is that of the sum of all values, each times a weight. Needs PyTorch (the file is from 2.15).
"""
import itertools
import json
import pathlib

import torch
from torch.nn import functional

torch.manual_seed(1)
LABELS = torch.tensor([2, 0, -100, 1, 2])


def tensor(value):
    return {"shape": list(value.shape), "elements": value.flatten().tolist()}


def case(kind, function, *inputs, **options):
    x = inputs[0].clone().requires_grad_()
    y = function(x, *inputs[1:], **options)
    weights = torch.randn_like(y)
    (weights * y).sum().backward()
    options = {name: tensor(value) if torch.is_tensor(value) else value for name, value in options.items()}
    return {"kind": kind, "inputs": [tensor(value) for value in inputs], "options": options, "y": tensor(y.detach()),
            "weights": tensor(weights), "gradient": tensor(x.grad)}


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


REDUCTIONS = ["mean", "sum", "none"]
class_weights = torch.tensor([0.5, 2, 1], dtype=torch.float64)
cases = [case("gelu", functional.gelu, 3 * normal(8), approximate=approximate) for approximate in ["none", "tanh"]]
for reduction in REDUCTIONS:
    cases.append(case("mean_squared_error", functional.mse_loss, normal(2, 3), normal(2, 3), reduction=reduction))
    cases.append(case("binary_cross_entropy_with_logits", functional.binary_cross_entropy_with_logits, normal(2, 3),
                      torch.rand(2, 3, dtype=torch.float64), reduction=reduction))
for reduction, smoothing, weight, ignored in itertools.product(REDUCTIONS, [0, 0.2], [None, class_weights], [-100, 2]):
    labels = LABELS if ignored == -100 else LABELS.clamp(min=0)
    cases.append(case("cross_entropy", functional.cross_entropy, normal(5, 3), labels, reduction=reduction,
                      label_smoothing=smoothing, weight=weight, ignore_index=ignored))
text = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
pathlib.Path(__file__).with_suffix(".json").write_text(text)
