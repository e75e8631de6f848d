"""What the tests of the MNIST examples share: the program that is their only argument, run briefly and on generated digits."""

import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

PROGRAM = os.path.abspath(sys.argv.pop(1))
FOLDER = tempfile.TemporaryDirectory()
KEYS = ["net", "epoch", "train_loss", "test_accuracy_train_mode", "test_accuracy_eval_mode", "seconds"]
ROW = re.compile(r"(\S+) +(\d+) +(\S+) +([\d.]+) % +([\d.]+) % +([\d.]+)")


def run(*arguments):
    """Status, standard output and standard error."""
    environment = {key: value for key, value in os.environ.items() if key != "COTAPE_MNIST"}
    done = subprocess.run([PROGRAM, *arguments], cwd=FOLDER.name, env=environment, text=True, capture_output=True,
                          timeout=600)
    return done.returncode, done.stdout, done.stderr


def rows(output):
    """Net and epoch of each row of the table."""
    return [match.groups()[:2] for match in map(ROW.fullmatch, output.splitlines()) if match]


def metrics(name):
    return [json.loads(line) for line in (Path(FOLDER.name) / name).read_text().splitlines()]


def texts(plot):
    return [text.text for text in xml.parse(Path(FOLDER.name) / plot).getroot().iter() if text.text]
