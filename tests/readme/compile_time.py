"""The CPU seconds that compiling a program takes, the least of three: compile_time.py PROGRAM BUILD_ROOT COMPILER...

Fails above two seconds: no public header may become a burden to those who include it.
"""

import os
import subprocess
import sys

LIMIT = 2.0

program, build, *compiler = sys.argv[1:]
compiler = [word for word in compiler if not word.endswith("ccache")]
command = [*compiler, "-std=c++20", f"-I{build}/include", "-c", program, "-o", os.devnull]
seconds = []
for _ in range(3):
    before = os.times()
    subprocess.run(command, check=True)
    after = os.times()
    seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
print(f"{min(seconds):.2f} s: {' '.join(command)}")
sys.exit(1 if min(seconds) > LIMIT else 0)
