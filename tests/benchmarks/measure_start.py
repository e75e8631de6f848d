#!/usr/bin/env python3
"""Measures how long a process takes until its first training step is done, and how large a program is.

    tests/benchmarks/measure_start.py

builds Cotape as a static library in build-static, and prints the median time of first_step, a process that makes one
training step and ends, and the size of the stripped programs with the library linked in.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RUNS = 31


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build-static", metavar="DIR")
    build = parser.parse_args().build.resolve()
    if not (build / "build.ninja").exists():
        subprocess.run(["meson", "setup", build, "-Ddefault_library=static"], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
    programs = ["tests/benchmarks/first_step", "examples/first_net"]
    subprocess.run(["ninja", "-C", build, *programs], check=True, stdout=subprocess.DEVNULL)
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run([build / programs[0]], env=environment, check=True)
        times.append(time.perf_counter() - start)
    print(f"process start to first training step done: {statistics.median(times):.3f} s (target: under 0.1 s)")
    for program in programs:
        with tempfile.NamedTemporaryFile() as stripped:
            subprocess.run(["strip", "-o", stripped.name, build / program], check=True)
            size = pathlib.Path(stripped.name).stat().st_size
        print(f"{program}, stripped: {size / 1e6:.1f} MB (target: under 10 MB)")


if __name__ == "__main__":
    main()
