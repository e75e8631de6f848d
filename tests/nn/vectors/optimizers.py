#!/usr/bin/env python3
"""Prints the expected values of optimizer_rules_test.cpp: ten steps of PyTorch's optimisers in float64.

The loss is sum(c * (p - t)^2); after five steps the learning rate is halved. Needs PyTorch (the values in the test are
from 2.15; the formulas have not changed since 1.13).
"""
import torch

rows = {
    "Sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "Sgd, weight decay": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.3),
    "Sgd, momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.3),
    "Sgd, Nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.3),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "Adam, options": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.7, 0.9), eps=0.01, weight_decay=0.3),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1),
    "AdamW, options": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.7, 0.9), eps=0.01, weight_decay=0.3),
    "RmsProp": lambda p: torch.optim.RMSprop(p, lr=0.1),
    "RmsProp, options": lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.8, eps=0.01, momentum=0.9, weight_decay=0.3),
}

for name, make in rows.items():
    p = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
    c = torch.tensor([1.0, 0.1, 3.0], dtype=torch.float64)
    t = torch.tensor([0.0, 1.0, 0.25], dtype=torch.float64)
    optimizer = make([p])
    for step in range(10):
        if step == 5:
            optimizer.param_groups[0]["lr"] = 0.05
        optimizer.zero_grad()
        (c * (p - t) ** 2).sum().backward()
        optimizer.step()
    print(f'{name}: {", ".join(f"{value:.17g}" for value in p.tolist())}')
