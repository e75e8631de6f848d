#!/usr/bin/env python3
"""Draws docs/performance.svg: the time of a training step against the batch size, and against the number of layers.

    meson compile -C build && chrt -r 1 tests/benchmarks/plot_performance.py

Both of Cotape and of PyTorch, float32, one thread, taking turns; medians. Left: 784-512-256-10 with batch norm, SGD
with momentum. Right: linear layers of width 32 with relu, batch 32, SGD. It prints the times as well.
"""

import argparse
import math

from compare_pytorch import HERE, ROOT, Worker, add_program_options, compare, find_programs

BATCHES = [1 << i for i in range(1, 11)]
DEPTHS = [10, 30, 100, 300, 1000, 3000, 10000]
SECONDS = 2
COLOURS = {"Cotape": "#1f6fb4", "PyTorch": "#d1495b"}
WIDTH, HEIGHT, LEFT, TOP = 360, 260, 70, 40


def measure(step_times, python, kind, numbers):
    """The times in milliseconds, by who took them."""
    times = {name: [] for name in COLOURS}
    for number in numbers:
        workers = [Worker([step_times, "--work", f"{kind}:{number}", "--serve"], 1, 1),
                   Worker([python, HERE / "pytorch_steps.py", f"{kind}:{number}", 1], 1, 1)]
        workers[1].read_line()
        for values, microseconds in zip(times.values(), compare(workers, SECONDS)):
            values.append(microseconds / 1000)
        print(f"{kind} {number}: " + ", ".join(f"{name} {values[-1]:.3f} ms" for name, values in times.items()),
              flush=True)
    return times


def panel(left, title, label, numbers, times):
    """One chart, both axes logarithmic."""
    every = [time for values in times.values() for time in values]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))

    def x_of(number):
        span = math.log(numbers[-1] / numbers[0])
        return left + WIDTH * math.log(number / numbers[0]) / span

    def y_of(time):
        return TOP + HEIGHT * (high - math.log10(time)) / (high - low)

    lines = [f'<text x="{left + WIDTH / 2}" y="22" text-anchor="middle" font-weight="bold">{title}</text>',
             f'<text x="{left + WIDTH / 2}" y="{TOP + HEIGHT + 38}" text-anchor="middle">{label}</text>']
    for power in range(low, high + 1):
        y = y_of(10 ** power)
        lines.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + WIDTH}" y2="{y:.1f}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0 ** power:g} ms</text>')
    for number in numbers[::2] if len(numbers) > 7 else numbers:
        lines.append(f'<text x="{x_of(number):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{number}</text>')
    for name, values in times.items():
        points = " ".join(f"{x_of(number):.1f},{y_of(time):.1f}" for number, time in zip(numbers, values))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        for point in points.split():
            x, y = point.split(",")
            lines.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{COLOURS[name]}"/>')
    for i, name in enumerate(times):
        y = TOP + 14 + 18 * i
        lines.append(f'<text x="{left + 14}" y="{y}" fill="{COLOURS[name]}">{name}</text>')
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_program_options(parser)
    arguments = parser.parse_args()
    step_times, python = find_programs(arguments)
    second = LEFT + WIDTH + LEFT + 20
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {second + WIDTH + 20} {TOP + HEIGHT + 50}" '
             'font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="white"/>']
    lines += panel(LEFT, "A training step, by batch size", "batch size", BATCHES,
                   measure(step_times, python, "batch", BATCHES))
    lines += panel(second, "A training step, by depth", "layers", DEPTHS, measure(step_times, python, "depth", DEPTHS))
    (ROOT / "docs" / "performance.svg").write_text("\n".join([*lines, "</svg>", ""]))


if __name__ == "__main__":
    main()
