"""Checks README.md and docs/*.md: check_documents.py SOURCE_ROOT BUILD_ROOT

- C++ is shown after a line `<!-- from FILE -->` and stands in that file as it is shown, but for common indentation.
- The added lines of a diff stand in the file that it names.
- After `<!-- output of PROGRAM -->` stands what that built program prints; digits may differ where the line ends in
  `, numbers vary -->`, as those of a time or of a product on another CPU do.
- Local links lead to files.
"""

import pathlib
import re
import subprocess
import sys
import textwrap

BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def without_numbers(text):
    return re.sub(r"[ -]*\d+(\.\d+)?(e[+-]\d+)?", " 0", text)


def wrong_in(document, source, build):
    text = document.read_text()
    for block in BLOCK.finditer(text):
        line = f"{document.name}:{text[:block.start('text')].count(chr(10)) + 1}"
        mark = block["mark"] or ""
        if mark.startswith("from "):
            file = source / mark.removeprefix("from ")
            shown = block["text"]
            if shown not in file.read_text() and not any(
                textwrap.indent(shown, " " * width) in file.read_text() for width in range(1, 40)
            ):
                yield f"{line}: {file.relative_to(source)} does not hold this text"
        elif mark.startswith("output of "):
            command = mark.removeprefix("output of ")
            vary = command.endswith(", numbers vary")
            words = command.removesuffix(", numbers vary").split()
            printed = subprocess.run([build / words[0], *words[1:]], capture_output=True, text=True, timeout=300)
            normal = without_numbers if vary else str
            if normal(printed.stdout) != normal(block["text"]):
                yield f"{line}: {words[0]} prints\n{printed.stdout}{printed.stderr}"
        elif block["language"] == "diff":
            for file, change in re.findall(r"^\+\+\+ b/(\S+)\n((?:\+(?!\+\+ ).*\n)*)", block["text"], re.MULTILINE):
                lines = (source / file).read_text().splitlines()
                yield from (f"{line}: {file} does not hold: {added[1:]}" for added in change.splitlines()
                            if added[1:] not in lines)
        elif block["language"] == "cpp":
            yield f"{line}: C++ without a line <!-- from FILE --> above it"
    for link in LINK.finditer(text):
        if not (document.parent / link[1]).exists():
            yield f"{document.name}: the link to {link[1]} leads nowhere"


def main():
    source, build = (pathlib.Path(argument) for argument in sys.argv[1:])
    wrong = [message for document in [source / "README.md", *sorted((source / "docs").glob("*.md"))]
             for message in wrong_in(document, source, build)]
    print(*wrong, sep="\n")
    sys.exit(1 if wrong else 0)


main()
