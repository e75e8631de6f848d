#!/usr/bin/env python3
"""Writes convolutional.json: what PyTorch's convolutional layers, poolings and normalisers give in float64.

Each case: the options, the input, the parameters, the output, and the gradients of sum(probe * output) with respect to the
input and the parameters; of a batch norm also the running mean and variance after that pass, and what evaluation then gives. Numbers are
kept to 12 digits. Needs PyTorch (the file is from 2.15).
"""
import json
import os

import torch
from torch import nn

torch.manual_seed(1)
torch.set_default_dtype(torch.float64)

CASES = [
    ("Conv1d", dict(in_channels=2, out_channels=3, kernel_size=3, stride=2, padding=1), (2, 2, 7)),
    ("Conv2d", dict(in_channels=2, out_channels=4, kernel_size=(3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2),
                    groups=2), (2, 2, 5, 6)),
    ("Conv2d", dict(in_channels=3, out_channels=2, kernel_size=1, bias=False), (1, 3, 3, 2)),
    ("Conv3d", dict(in_channels=1, out_channels=2, kernel_size=2, padding=1), (1, 1, 2, 3, 2)),
    ("ConvTranspose1d", dict(in_channels=2, out_channels=1, kernel_size=3, stride=2), (1, 2, 3)),
    ("ConvTranspose2d", dict(in_channels=4, out_channels=2, kernel_size=3, stride=2, padding=1, output_padding=1,
                             groups=2), (1, 4, 2, 3)),
    ("ConvTranspose2d", dict(in_channels=2, out_channels=1, kernel_size=2, dilation=3, padding=1, output_padding=2),
     (1, 2, 2, 2)),
    ("ConvTranspose3d", dict(in_channels=1, out_channels=2, kernel_size=2, stride=(1, 2, 1)), (1, 1, 2, 2, 1)),
    ("MaxPool1d", dict(kernel_size=3, stride=2, padding=1), (1, 2, 6)),
    ("MaxPool2d", dict(kernel_size=2), (2, 1, 4, 5)),
    ("MaxPool2d", dict(kernel_size=(3, 2), stride=2, padding=1, ceil_mode=True), (1, 2, 6, 3)),
    ("MaxPool2d", dict(kernel_size=2, stride=1, dilation=2), (1, 1, 4, 5)),
    ("MaxPool3d", dict(kernel_size=2, stride=1), (1, 1, 3, 2, 3)),
    ("AvgPool1d", dict(kernel_size=2), (1, 2, 5)),
    ("AvgPool2d", dict(kernel_size=3, stride=2, padding=1), (1, 2, 4, 5)),
    ("AvgPool2d", dict(kernel_size=(3, 2), stride=2, padding=1, ceil_mode=True), (1, 1, 6, 5)),
    ("AvgPool2d", dict(kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False), (1, 1, 6, 5)),
    ("AvgPool2d", dict(kernel_size=2, divisor_override=3), (1, 1, 4, 4)),
    ("AvgPool3d", dict(kernel_size=2, stride=1, padding=(1, 0, 0)), (1, 1, 2, 3, 2)),
    ("AdaptiveAvgPool1d", dict(output_size=3), (1, 2, 7)),
    ("AdaptiveAvgPool2d", dict(output_size=(2, 3)), (1, 2, 5, 7)),
    ("AdaptiveAvgPool3d", dict(output_size=1), (2, 1, 2, 3, 2)),
    ("GroupNorm", dict(num_groups=2, num_channels=4), (2, 4, 3, 2)),
    ("GroupNorm", dict(num_groups=3, num_channels=6), (3, 6)),
    ("InstanceNorm1d", dict(num_features=2), (2, 2, 5)),
    ("InstanceNorm2d", dict(num_features=3, affine=True), (2, 3, 3, 2)),
    ("InstanceNorm3d", dict(num_features=2), (1, 2, 2, 2, 3)),
    ("BatchNorm2d", dict(num_features=3), (2, 3, 2, 3)),
    ("BatchNorm3d", dict(num_features=2), (2, 2, 2, 1, 3)),
    ("BatchNorm1d", dict(num_features=3), (5, 3)),
    ("BatchNorm1d", dict(num_features=2, eps=0.1, momentum=0.3), (3, 2, 4)),
    ("BatchNorm2d", dict(num_features=2, momentum=None, affine=False), (2, 2, 2, 3)),
]


def array(tensor):
    return {"shape": list(tensor.shape), "elements": [float(f"{value:.12g}") for value in tensor.flatten().tolist()]}


cases = []
for name, options, shape in CASES:
    layer = getattr(nn, name)(**options)
    for parameter in layer.parameters():
        parameter.data = torch.randn_like(parameter)
    x = torch.randn(shape, requires_grad=True)
    y = layer(x)
    probe = torch.randn_like(y)
    leaves = [x, *layer.parameters()]
    slopes = torch.autograd.grad((probe * y).sum(), leaves)
    running = {}
    if name.startswith("BatchNorm"):
        running = {"running": [array(layer.running_mean), array(layer.running_var)], "evaluated": array(layer.eval()(x))}
    cases.append({"layer": name, "options": options, "x": array(x),
                  "parameters": [array(parameter) for parameter in layer.parameters()], "y": array(y),
                  "probe": array(probe), "gradients": [array(slope) for slope in slopes], **running})

with open(os.path.join(os.path.dirname(__file__), "convolutional.json"), "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
