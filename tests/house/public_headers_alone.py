"""public_headers_alone.py BUILD_ROOT COMPILER...: each header that is installed compiles alone, twice, without warnings."""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

build, *compiler = sys.argv[1:]
installed = json.loads((pathlib.Path(build) / 'meson-info' / 'intro-installed.json').read_text())
flags = ['-std=c++20', '-Wall', '-Wextra', '-Wpedantic', '-Wconversion', '-Wshadow', '-Werror']


def name_in_cotape(path):
    return 'cotape' + path.split('/include/cotape', 1)[1]


def compile_alone(header):
    lines = f'#include <{header}>\n' * 2
    command = [*compiler, *flags, '-fsyntax-only', '-I', f'{build}/include', '-x', 'c++', '-']
    return header, subprocess.run(command, input=lines, capture_output=True, text=True)


headers = sorted(name_in_cotape(path) for path in installed.values() if path.endswith('.hpp'))
if not headers:
    sys.exit('no header is installed')
failed = 0
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for header, result in pool.map(compile_alone, headers):
        if result.returncode != 0:
            failed += 1
            print(f'<{header}> does not compile alone:\n{result.stderr}')
print(f'{len(headers) - failed} of {len(headers)} headers compile alone')
sys.exit(1 if failed else 0)
