#!/usr/bin/env python3
"""Compares the memory that a step takes in Cotape and in PyTorch: the same works, float32.

    meson compile -C build && tests/benchmarks/compare_memory.py

The figures are the most bytes that one step holds at once, beyond what is there between steps: parameters, moments and
batches. Cotape's come from its buffer pool, the tape's own lists included; PyTorch's from its profiler's record of the
CPU allocator. What the libraries under both take for themselves is in neither.
"""

import argparse
import subprocess

from compare_pytorch import HERE, add_program_options, find_programs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", metavar="NAME,NAME,...", help="default: all of them")
    add_program_options(parser)
    arguments = parser.parse_args()
    step_times, python = find_programs(arguments)

    def output_of(*command):
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout

    peers = output_of(python, HERE / "pytorch_steps.py", "--list").split()
    names = [line.split("\t")[0] for line in output_of(step_times, "--list").splitlines()]
    names = [name for name in names if name in peers]
    print(f"{'work':<18} {'ours KiB':>10} {'PyTorch KiB':>12} {'ratio':>6}")
    for name in arguments.works.split(",") if arguments.works else names:
        ours = int(output_of(step_times, "--work", name, "--memory"))
        pytorch = int(output_of(python, HERE / "pytorch_steps.py", name, 1, "--memory"))
        print(f"{name:<18} {ours / 1024:>10.1f} {pytorch / 1024:>12.1f} {pytorch / ours:>6.2f}", flush=True)


if __name__ == "__main__":
    main()
