#!/usr/bin/env python3
"""Writes recurrent.json: PyTorch's recurrent nets in float64, their outputs, final states and gradients.

The loss is the sum of all outputs and final states, each times a weight. "lengths" are those of packed sequences. Needs
PyTorch (the file is from 2.15).
"""
import json
import pathlib

import torch

torch.manual_seed(1)
T, N, INPUTS, HIDDEN = 3, 2, 3, 2


def tensor(value):
    return {"shape": list(value.shape), "elements": value.flatten().tolist()}


def case(name, kind, layers=1, lengths=None, initial=True, **options):
    net = getattr(torch.nn, kind)(INPUTS, HIDDEN, layers, dtype=torch.float64, **options)
    x = torch.randn(T, N, INPUTS, dtype=torch.float64, requires_grad=True)
    states = {}
    cells = 2 * layers if options.get("bidirectional") else layers
    if initial:
        for part in "hc" if kind == "LSTM" else "h":
            states[part] = torch.randn(cells, N, HIDDEN, dtype=torch.float64, requires_grad=True)
    given = None if not initial else (states["h"], states["c"]) if kind == "LSTM" else states["h"]
    if lengths:
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        outputs, last = net(packed, given)
        outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, total_length=T)
    else:
        outputs, last = net(x, given)
    results = {"outputs": outputs, **dict(zip("hc", last if kind == "LSTM" else [last]))}
    weights = {name: torch.randn_like(result) for name, result in results.items()}
    sum((weights[name] * result).sum() for name, result in results.items()).backward()
    parameters = dict(net.named_parameters())
    leaves = {"x": x, **{f"initial.{part}": state for part, state in states.items()}, **parameters}
    return {
        "name": name, "kind": kind, "layers": layers, "lengths": lengths, "bias": options.get("bias", True),
        "relu": options.get("nonlinearity") == "relu", "bidirectional": options.get("bidirectional", False),
        "inputs": {name: tensor(leaf.detach()) for name, leaf in leaves.items()},
        "results": {name: tensor(result.detach()) for name, result in results.items()},
        "weights": {name: tensor(weight) for name, weight in weights.items()},
        "gradients": {name: tensor(leaf.grad) for name, leaf in leaves.items()},
    }


cases = [
    case("LSTM", "LSTM"),
    case("LSTM, two layers", "LSTM", layers=2),
    case("LSTM, no bias, from zeros", "LSTM", bias=False, initial=False),
    case("LSTM, padded", "LSTM", layers=2, lengths=[2, 3]),
    case("GRU", "GRU"),
    case("GRU, two layers", "GRU", layers=2),
    case("GRU, no bias, from zeros", "GRU", bias=False, initial=False),
    case("GRU, padded", "GRU", lengths=[1, 3]),
    case("RNN", "RNN"),
    case("RNN, relu, two layers", "RNN", layers=2, nonlinearity="relu"),
    case("RNN, padded", "RNN", lengths=[3, 1]),
    case("LSTM, bidirectional, two layers", "LSTM", layers=2, bidirectional=True),
    case("LSTM, bidirectional, padded", "LSTM", layers=2, lengths=[3, 2], bidirectional=True),
    case("GRU, bidirectional", "GRU", bidirectional=True, bias=False),
    case("RNN, bidirectional, padded, from zeros", "RNN", lengths=[1, 3], initial=False, bidirectional=True),
]
text = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
pathlib.Path(__file__).with_suffix(".json").write_text(text)
