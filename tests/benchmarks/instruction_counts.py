#!/usr/bin/env python3
"""Counts the instructions of three small steps and compares them with the figures in instruction_counts.json.

    instruction_counts.py PROGRAM CONFIGURATION [--update]

PROGRAM is counted_steps; each step runs under callgrind, on one thread, by the loops for baseline x86-64. Counted are the
instructions within Cotape's own library and program: what BLAS, oneDNN and the C library execute depends on the CPU.
CONFIGURATION names the compiler and its options; where it is not that of the figures, or valgrind is missing, the test
is skipped (status 77). `--update` writes the figures down instead.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FIGURES = pathlib.Path(__file__).with_name("instruction_counts.json")
STEPS = ["fused_chain", "paper_net", "scalar_op"]
TOLERANCE = 0.05
SKIPPED = 77
OURS = ("libcotape", "counted_steps")


def own_instructions(profile):
    """The instructions that functions of ours executed themselves, by callgrind's output format."""
    names, total, ours, is_call = {}, 0, False, False
    for line in profile.read_text().splitlines():
        if match := re.match(r"ob=\((\d+)\)(?: (.*))?", line):
            number, name = match.groups()
            if name:
                names[number] = pathlib.Path(name).name
            ours = names[number].startswith(OURS)
        elif match := re.match(r"cob=\((\d+)\) (.*)", line):
            names[match[1]] = pathlib.Path(match[2]).name
        elif line.startswith("calls="):
            is_call = True  # the next line holds the cost of the callee
        elif re.match(r"[+\-*\d]", line):
            if not is_call and ours:
                total += int(line.split()[1])
            is_call = False
    return total


def count(program, step):
    with tempfile.TemporaryDirectory() as folder:
        profile = pathlib.Path(folder) / "profile"
        environment = dict(os.environ, OMP_NUM_THREADS="1", COTAPE_INSTRUCTION_SET="baseline", ONEDNN_MAX_CPU_ISA="SSE41",
                           OPENBLAS_CORETYPE="Nehalem")
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", "--toggle-collect=counted_step",
                        "--quiet", program, step], env=environment, check=True)
        return own_instructions(profile)


def main():
    program, configuration = sys.argv[1:3]
    if not shutil.which("valgrind"):
        print("valgrind is missing: .ci/setup installs it")
        sys.exit(SKIPPED)
    if "--update" in sys.argv:
        figures = {"configuration": configuration, "instructions": {step: count(program, step) for step in STEPS}}
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
        print(FIGURES.read_text(), end="")
        return
    figures = json.loads(FIGURES.read_text())
    if figures["configuration"] != configuration:
        print(f"the figures are those of {figures['configuration']}, this is {configuration}")
        sys.exit(SKIPPED)
    failed = False
    for step in STEPS:
        counted, expected = count(program, step), figures["instructions"][step]
        change = counted / expected - 1
        print(f"{step}: {counted} instructions, {change:+.1%} against {expected}")
        failed |= abs(change) > TOLERANCE
    if failed:
        print("More than 5 % off. Where that is meant, write the new figures down:\n"
              "    meson compile -C build update-instruction-counts")
        sys.exit(1)


if __name__ == "__main__":
    main()
