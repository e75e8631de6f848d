"""What compiling a program costs beside the standard headers it cannot do without: compile_time.py PROGRAM BUILD_ROOT
COMPILER...

Fails above a limit: no public header may become a burden to those who include it. Both are compiled in turns, five times,
and the least CPU times compared: how fast the machine is, and what else runs there, has no say.
"""

import os
import subprocess
import sys
import tempfile

LIMIT = 3.0
STANDARD_HEADERS = ["algorithm", "array", "cmath", "functional", "memory", "random", "span", "string", "vector"]

program, build, *compiler = sys.argv[1:]
compiler = [word for word in compiler if not word.endswith("ccache")]


def cpu_seconds(source):
    command = [*compiler, "-std=c++20", f"-I{build}/include", "-c", source, "-o", os.devnull]
    before = os.times()
    subprocess.run(command, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


with tempfile.NamedTemporaryFile("w", suffix=".cpp") as yardstick:
    yardstick.write("".join(f"#include <{header}>\n" for header in STANDARD_HEADERS) + "int main() {}\n")
    yardstick.flush()
    times = [(cpu_seconds(program), cpu_seconds(yardstick.name)) for _ in range(5)]
ours, standard = (min(column) for column in zip(*times))
print(f"{program}: {ours:.2f} s, {ours / standard:.2f} times the {standard:.2f} s of the standard headers alone")
sys.exit(1 if ours > LIMIT * standard else 0)
