"""The works of works.cpp in PyTorch, for compare_pytorch.py, which runs this file in an environment with PyTorch.

    pytorch_steps.py WORK THREADS [--memory]
    pytorch_steps.py --list

Answers each line COUNT on standard input with the times of COUNT steps in microseconds; the first line it prints says
which versions it runs on. With --memory it prints instead the most bytes that a step holds at once, beyond what is there
between steps (parameters, moments, batches; not the gradients, which a step may let go before it begins).
"""

import itertools
import sys
import time

import torch
from torch import nn

BATCH_COUNT = 8  # batches that steps take turns between
WARM_UP = 3  # steps before each series that are not counted


def make_batches(size):
    return [(torch.rand(size, 784), torch.randint(0, 10, (size,))) for _ in range(BATCH_COUNT)]


def train(hidden, batch_norm, activation, batch_size, make_optimizer):
    layers, inputs = [], 784
    for width in hidden:
        layers.append(nn.Linear(inputs, width, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm1d(width))
        layers.append(activation())
        inputs = width
    return train_net(nn.Sequential(*layers, nn.Linear(inputs, 10)), batch_size, make_optimizer)


def train_net(model, batch_size, make_optimizer):
    model.train()
    optimizer = make_optimizer(model.parameters())
    loss_function = nn.CrossEntropyLoss()
    batches = make_batches(batch_size)
    turn = 0

    def step():
        nonlocal turn
        images, labels = batches[turn % BATCH_COUNT]
        turn += 1
        optimizer.zero_grad(set_to_none=True)
        loss_function(model(images), labels).backward()
        optimizer.step()

    return step


def differentiate(layer, input_shape, output_shape, batches):
    """The layer alone, forward and backward from a random cotangent of its output."""
    layer.train()
    inputs = [torch.rand(input_shape, requires_grad=True) for _ in range(batches)]
    seeds = [torch.rand(output_shape) for _ in range(batches)]
    turn = 0

    def step():
        nonlocal turn
        x, seed = inputs[turn % batches], seeds[turn % batches]
        turn += 1
        x.grad = None
        layer.zero_grad(set_to_none=True)
        y = layer(x)
        (y[0] if isinstance(y, tuple) else y).backward(seed)

    return step


def train_conv_net():
    layers = [nn.Unflatten(1, (1, 28, 28))]
    for maps, following in (1, 32), (32, 64):
        layers += [nn.Conv2d(maps, following, 3, padding=1, bias=False), nn.BatchNorm2d(following), nn.ReLU(), nn.MaxPool2d(2)]
    return train_net(nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 7 * 7, 10)), 64, sgd(0.01, 0.9))


def infer(batch_size):
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    model.eval()
    batches = make_batches(batch_size)
    turn = 0

    def step():
        nonlocal turn
        images, _ = batches[turn % BATCH_COUNT]
        turn += 1
        with torch.no_grad():
            model(images)

    return step


def normalize_images():
    shape = (64, 64, 56, 56)
    return differentiate(nn.Sequential(nn.BatchNorm2d(64), nn.ReLU()), shape, shape, 2)


def follow_chain():
    x = torch.tensor(0.5, requires_grad=True)

    def step():
        x.grad = None
        y = x
        for _ in range(500):
            y = torch.tanh(y) * x
        y.backward()

    return step


def sgd(rate, momentum=0.0):
    return lambda parameters: torch.optim.SGD(parameters, lr=rate, momentum=momentum)


def adam(rate):
    return lambda parameters: torch.optim.Adam(parameters, lr=rate)


# For each work: how many equal parts a step has, and what prepares it.
WORKS = {
    "mlp_256": (1, lambda: train([256, 256], True, nn.ReLU, 128, sgd(0.01))),
    "mlp_256_plain": (1, lambda: train([256, 256], False, nn.ReLU, 128, sgd(0.01))),
    "mlp_256_adam": (1, lambda: train([256, 256], True, nn.ReLU, 128, adam(0.001))),
    "mlp_512_momentum": (1, lambda: train([512, 256], True, nn.ReLU, 128, sgd(0.01, 0.9))),
    "mlp_512_adam": (1, lambda: train([512, 256], True, nn.ReLU, 128, adam(0.001))),
    "paper_net": (1, lambda: train([100, 100, 100], True, nn.Sigmoid, 60, sgd(0.1))),
    "mnist_conv": (1, train_conv_net),
    "batchnorm1d": (1, lambda: differentiate(nn.BatchNorm1d(1024), (256, 1024), (256, 1024), BATCH_COUNT)),
    "batchnorm2d_relu": (1, normalize_images),
    "lstm": (1, lambda: differentiate(nn.LSTM(28, 128), (28, 64, 28), (28, 64, 128), BATCH_COUNT)),
    "inference_1": (1, lambda: infer(1)),
    "inference_128": (1, lambda: infer(128)),
    "scalar_op": (1000, follow_chain),
}


def peak_bytes(step):
    """By the profiler's record of what the CPU allocator hands out and takes back."""
    for _ in range(WARM_UP):
        step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = list(itertools.accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))
    return max(held) - min(0, *held)


def find(name):
    """As works::find: beside all works, "batch:N" and "depth:N"."""
    kind, _, number = name.partition(":")
    if kind == "batch":
        return 1, lambda: train([512, 256], True, nn.ReLU, int(number), sgd(0.01, 0.9))
    if kind == "depth":
        return 1, lambda: train([32] * int(number), False, nn.ReLU, 32, sgd(0.01))
    return WORKS[name]


def main():
    if sys.argv[1] == "--list":
        print(" ".join(WORKS))
        return
    parts, prepare = find(sys.argv[1])
    torch.set_num_threads(int(sys.argv[2]))
    torch.manual_seed(1)
    step = prepare()
    if "--memory" in sys.argv:
        print(peak_bytes(step))
        return
    versions = f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    for line in torch.__config__.show().splitlines():
        if "Math Kernel Library" in line or "MKL-DNN" in line:
            versions += ", " + line.strip(" -").split(" (")[0].split("-Product")[0]
    print(versions, flush=True)
    for line in sys.stdin:
        times = []
        for i in range(-WARM_UP, int(line)):
            start = time.perf_counter_ns()
            step()
            taken = time.perf_counter_ns() - start
            if i >= 0:
                times.append(taken / 1000 / parts)
        print(" ".join(f"{taken:.4f}" for taken in times), flush=True)


if __name__ == "__main__":
    main()
