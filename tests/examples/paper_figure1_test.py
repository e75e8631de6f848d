"""Runs the example as a user does, briefly and on generated digits. The program's path is the only argument."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

PROGRAM = os.path.abspath(sys.argv.pop(1))
OPTIONS = ["data", "steps", "every", "batch", "learning-rate", "unit", "seeds", "short", "threads", "metrics", "plots"]
KEYS = ["net", "seed", "step", "test_accuracy_train_mode", "test_accuracy_eval_mode", "sigmoid_input_percentiles"]
SVG = "{http://www.w3.org/2000/svg}"
ROW = re.compile(r"(plain|batchnorm) +(\d+) +([\d.]+) % +([\d.]+) % +(-?[\d.]+), (-?[\d.]+), (-?[\d.]+)")


class PaperFigure1(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.environment = {key: value for key, value in os.environ.items() if key != "COTAPE_MNIST"}
        cls.short = cls.run_program("--short", "--metrics", "metrics", "--plots", ".")

    @classmethod
    def run_program(cls, *arguments):
        return subprocess.run([PROGRAM, *arguments], cwd=cls.folder, env=cls.environment, text=True, capture_output=True,
                              timeout=300)

    def metrics(self, name="metrics"):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def test_a_short_run_measures_both_nets_three_times_and_the_table_says_what_the_metrics_say(self):
        self.assertEqual(self.short.returncode, 0, self.short.stderr)
        rows = [match.groups() for match in map(ROW.fullmatch, self.short.stdout.splitlines()) if match]
        self.assertEqual([(row[0], row[1]) for row in rows],
                         [(net, step) for net in ["plain", "batchnorm"] for step in ["100", "200", "300"]])
        for line, row in zip(self.metrics(), rows, strict=True):
            self.assertEqual(list(line), KEYS)
            self.assertEqual((line["net"], line["seed"], line["step"]), (row[0], 1, int(row[1])))
            self.assertAlmostEqual(100 * line["test_accuracy_train_mode"], float(row[2]), delta=5.1e-3)
            self.assertAlmostEqual(100 * line["test_accuracy_eval_mode"], float(row[3]), delta=5.1e-3)
            for value, shown in zip(line["sigmoid_input_percentiles"], row[4:], strict=True):
                self.assertAlmostEqual(value, float(shown), delta=5.1e-3)

    def test_batch_norm_learns_where_the_plain_net_does_not_yet(self):
        last = {line["net"]: line for line in self.metrics()}
        self.assertGreater(last["batchnorm"]["test_accuracy_eval_mode"], 0.7)
        self.assertGreater(last["batchnorm"]["test_accuracy_eval_mode"], last["plain"]["test_accuracy_eval_mode"] + 0.3)
        self.assertEqual(last["plain"]["test_accuracy_eval_mode"], last["plain"]["test_accuracy_train_mode"])

    def test_the_percentiles_rise_and_those_of_a_normalised_input_are_about_a_standard_deviation_off_the_middle(self):
        for line in self.metrics():
            low, middle, high = line["sigmoid_input_percentiles"]
            self.assertTrue(low <= middle <= high)
            if line["net"] == "batchnorm":
                self.assertTrue(1 < high - low < 4, line)  # 2.07 for a normal distribution, times a learnt scale

    def test_the_pictures_are_well_formed_with_a_curve_for_each_net_and_each_percentile(self):
        texts = {}
        for name in ["accuracy", "inputs"]:
            root = xml.parse(self.folder / f"paper_figure1_{name}.svg").getroot()
            self.assertEqual(root.tag, SVG + "svg")
            texts[name] = [text.text for text in root.iter(SVG + "text")]
        for text in ["Test accuracy", "step", "%", "plain", "batchnorm", "batchnorm, training mode"]:
            self.assertIn(text, texts["accuracy"])
        for text in ["Input of a sigmoid, plain", "Input of a sigmoid, batchnorm", "15th percentile", "85th percentile"]:
            self.assertIn(text, texts["inputs"])

    def test_the_numbers_do_not_depend_on_how_many_runs_share_the_machine(self):
        for threads in ["1", "3"]:
            done = self.run_program("--steps", "40", "--every", "25", "--seeds", "2", "--threads", threads, "--metrics", threads)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.metrics("1"), self.metrics("3"))
        self.assertEqual([(line["net"], line["seed"], line["step"]) for line in self.metrics("1")],
                         [(net, seed, step) for seed in [1, 2] for net in ["plain", "batchnorm"] for step in [25, 40]])

    def test_an_interrupt_keeps_the_metrics_of_the_runs_that_were_done(self):
        process = subprocess.Popen([PROGRAM, "--steps", "50", "--every", "50", "--seeds", "1000", "--threads", "1", "--metrics",
                                    "kept"], cwd=self.folder, env=self.environment, text=True, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        for line in process.stderr:
            if line.startswith("plain, seed 2"):
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertEqual([(line["net"], line["seed"]) for line in self.metrics("kept")][:2],
                         [("plain", 1), ("batchnorm", 1)])

    def test_help_teaches_every_option(self):
        done = self.run_program("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for option in OPTIONS:
            self.assertRegex(done.stdout, rf"(?m)^  --{option}( |$)")
        for text in ["Ioffe and Szegedy", "COTAPE_MNIST", "Examples:"]:
            self.assertIn(text, done.stdout)

    def test_bad_options_exit_with_2_and_are_named(self):
        for option, values in {"steps": ["0", "x"], "every": ["0"], "batch": ["1", "60001"], "unit": ["100", "-1"],
                               "learning-rate": ["0", "nan"], "seeds": ["0"], "threads": ["-1"]}.items():
            for value in values:
                done = self.run_program("--" + option, value)
                self.assertEqual(done.returncode, 2, (option, value))
                self.assertIn(f"--{option}", done.stderr)

    def test_files_that_cannot_be_written_are_refused_before_training(self):
        for option in ["--metrics", "--plots"]:
            done = self.run_program("--short", option, "no/such/folder/file")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, "^paper_figure1: write: cannot open no/such/folder/file")


if __name__ == "__main__":
    unittest.main()
