#!/usr/bin/env python3
"""Times Cotape beside PyTorch: the same works, the same number of threads, float32, taking turns in one run.

    meson compile -C build && tests/benchmarks/compare_pytorch.py --json ratios.json

For each work and number of threads both programs run side by side, one of them waiting while the other makes a series
of steps, and the medians over all series are compared. The first run makes a virtual environment and installs PyTorch
there with pip. `--json` writes one object a line: {"work", "threads", "ours_us", "pytorch_us", "ratio"}, microseconds
a step, with ratio = PyTorch's time over ours. `works.cpp` says what each work is.

Some works of ours are compared with each other in the same way: {"work", "against", "threads", "work_us", "against_us",
"ratio"}, with ratio = the time of `work` over that of `against`.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
import venv

# Works of ours, and what each is compared with: batch norm as composed with hand-written loops, the batch-normalised
# LSTM with the plain one, the matrix products of a step, or copies of what it must read and write, with all of the step.
PAIRS = [
    ("batchnorm2d_relu", "batchnorm2d_relu_by_hand"),
    ("bn_lstm", "lstm"),
    ("batchnorm1d_copies", "batchnorm1d"),
    ("mlp_512_products", "mlp_512_momentum"),
    ("lstm_products", "lstm"),
    ("inference_1_products", "inference_1"),
    ("inference_128_products", "inference_128"),
]

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the rows there")
    parser.add_argument("--threads", default="1,2", metavar="N,N,...", help="numbers of threads (default: 1,2)")
    parser.add_argument("--works", metavar="NAME,NAME,...", help="default: all of them")
    parser.add_argument("--seconds", type=float, default=4, help="time to spend on each row (default: 4)")
    add_program_options(parser)
    return parser.parse_args()


def add_program_options(parser):
    """Where the two programs are, or come from."""
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", metavar="DIR",
                        help="Cotape's build folder")
    parser.add_argument("--environment", type=pathlib.Path, metavar="DIR",
                        help="virtual environment with PyTorch, made where it is missing (default: BUILD/pytorch-venv)")
    parser.add_argument("--requirement", default="torch", metavar="PACKAGE",
                        help="what pip installs, for a certain version: torch==2.8.0")
    parser.add_argument("--pip-options", default="", metavar="OPTIONS",
                        help="more options for pip install: an index with builds for CPUs alone, for example")


def find_programs(arguments):
    """The program that times Cotape, and a Python interpreter with PyTorch."""
    step_times = arguments.build / "tests" / "benchmarks" / "step_times"
    if not step_times.exists():
        sys.exit(f"{os.path.basename(sys.argv[0])}: {step_times} is missing; "
                 f"meson compile -C {arguments.build} builds it")
    environment = arguments.environment or arguments.build / "pytorch-venv"
    return step_times, python_with_pytorch(environment, arguments.requirement, arguments.pip_options)


def python_with_pytorch(folder, requirement, pip_options):
    """The interpreter of the virtual environment `folder`, with PyTorch installed where it was not."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"Making a virtual environment in {folder}", flush=True)
        venv.create(folder, with_pip=True)
    if subprocess.run([python, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode:
        print("Installing PyTorch there", flush=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", requirement, "numpy", *pip_options.split()],
                       check=True)
    return python


class Worker:
    """A program that answers each line COUNT with the times of COUNT steps."""

    def __init__(self, command, threads, parts):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment)
        self.times = []
        self.parts = parts

    def read_line(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"compare_pytorch.py: {self.process.args[0]} ended with status {self.process.wait()}")
        return line.strip()

    def run(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return [float(word) for word in self.read_line().split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(workers, seconds):
    """The median step times of the workers, measured in turns of a tenth of a second for about `seconds` in all."""
    counts = []
    for worker in workers:
        worker.run(1)
        step = statistics.median(worker.run(3)) * worker.parts / 1e6
        counts.append(min(max(int(0.1 / step), 3), 2000))
    end = time.monotonic() + seconds
    turns = 0
    while turns < 5 or time.monotonic() < end:
        turns += 1
        for worker, count in zip(workers, counts):
            worker.times += worker.run(count)
    for worker in workers:
        worker.close()
    return [statistics.median(worker.times) for worker in workers]


def main():
    arguments = parse_arguments()
    step_times, python = find_programs(arguments)
    listed = subprocess.run([step_times, "--list"], capture_output=True, text=True, check=True).stdout
    works = {name: (title, int(parts)) for name, title, parts in (line.split("\t") for line in listed.splitlines())}
    peers = subprocess.run([python, HERE / "pytorch_steps.py", "--list"], capture_output=True, text=True,
                           check=True).stdout.split()
    chosen = arguments.works.split(",") if arguments.works else list(works)
    unknown = [name for name in chosen if name not in works]
    if unknown:
        sys.exit(f"compare_pytorch.py: no work is named {', '.join(unknown)}; there are {', '.join(works)}")

    if os.getloadavg()[0] > 0.5:
        print(f"Other programs are running (load {os.getloadavg()[0]:.1f}): times of both sides are too long")
    rows = []
    for threads in [int(number) for number in arguments.threads.split(",")]:
        information = subprocess.run([step_times, "--information", "--threads", str(threads)], capture_output=True,
                                     text=True, check=True).stdout
        print("Cotape: " + ", ".join(line for line in information.splitlines()))

        def ours(name):
            return Worker([step_times, "--work", name, "--threads", threads, "--serve"], threads, works[name][1])

        def theirs(name):
            return Worker([python, HERE / "pytorch_steps.py", name, threads], threads, works[name][1])

        named = False
        for name in [name for name in chosen if name in peers]:
            workers = [ours(name), theirs(name)]
            versions = workers[1].read_line()
            if not named:
                print(f"Peer: {versions}, Python {platform.python_version()}, threads: {threads}")
                print(f"{'work':<18} {'threads':>7} {'ours us':>10} {'PyTorch us':>11} {'ratio':>6}")
                named = True
            ours_us, pytorch_us = compare(workers, arguments.seconds)
            rows.append({"work": name, "threads": threads, "ours_us": round(ours_us, 4),
                         "pytorch_us": round(pytorch_us, 4), "ratio": round(pytorch_us / ours_us, 3)})
            print(f"{name:<18} {threads:>7} {ours_us:>10.2f} {pytorch_us:>11.2f} {pytorch_us / ours_us:>6.2f}",
                  flush=True)
        for name, against in [pair for pair in PAIRS if set(pair) <= set(chosen)]:
            work_us, against_us = compare([ours(name), ours(against)], arguments.seconds)
            rows.append({"work": name, "against": against, "threads": threads, "work_us": round(work_us, 4),
                         "against_us": round(against_us, 4), "ratio": round(work_us / against_us, 3)})
            print(f"{name} over {against}, {threads} thread(s): {work_us:.2f} us / {against_us:.2f} us = "
                  f"{work_us / against_us:.2f}", flush=True)
    if arguments.json:
        pathlib.Path(arguments.json).write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
