"""Runs the example as a user does, on generated digits. The program's path is the only argument."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

from few_digits import write_few_digits

PROGRAM = os.path.abspath(sys.argv.pop(1))
OPTIONS = ["data", "epochs", "batch", "learning-rate", "hidden", "activation", "optimizer", "schedule", "seed", "threads",
           "metrics", "plot"]
KEYS = ["net", "epoch", "train_loss", "test_accuracy_train_mode", "test_accuracy_eval_mode", "seconds"]
SHORT = ["--hidden", "16", "--threads", "1"]
SVG = "{http://www.w3.org/2000/svg}"
ROW = re.compile(r"(plain|batchnorm) +(\d+) +(\S+) +([\d.]+) % +([\d.]+) % +([\d.]+)")


def rows(output):
    return [match.groups() for match in map(ROW.fullmatch, output.splitlines()) if match]


class Example(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)

    def setUp(self):
        self.environment = {key: value for key, value in os.environ.items() if key != "COTAPE_MNIST"}

    def start(self, *arguments, **options):
        return subprocess.Popen([PROGRAM, *arguments], cwd=self.folder, env=self.environment, text=True,
                                stdout=subprocess.PIPE, **{"stderr": subprocess.PIPE, **options})

    def interrupt_after(self, beginning, *arguments):
        """Status and standard error of a short run that is interrupted once a line with that beginning is printed."""
        process = self.start(*SHORT, *arguments,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        for line in process.stdout:
            if line.startswith(beginning):
                break
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        return process.returncode, error

    def run_program(self, *arguments):
        process = self.start(*arguments)
        output, error = process.communicate(timeout=300)
        return process.returncode, output, error

    def metrics(self, name="metrics"):
        def no_constant(text):
            self.fail(f"{text} is not JSON")
        return [json.loads(line, parse_constant=no_constant) for line in (self.folder / name).read_text().splitlines()]

    def check_refused(self, status, message, *arguments):
        got, output, error = self.run_program(*SHORT, *arguments)
        self.assertEqual((got, rows(output)), (status, []), arguments)
        self.assertIn(message, error, arguments)


class Run(Example):
    """Two epochs of a small net, looked at from all sides."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        run = cls()
        run.setUp()
        cls.status, cls.output, cls.error = run.run_program(
            *SHORT, "--epochs", "2", "--seed", "3", "--metrics", "metrics", "--plot", "plot.svg")

    def test_a_run_prints_where_the_data_come_from_the_net_the_verdict_and_the_table(self):
        self.assertEqual(self.status, 0)
        lines = self.output.splitlines()
        self.assertEqual(lines[0], "Data: no MNIST here (data/download_mnist.sh fetches it); training on generated digits")
        self.assertIn("1     BatchNorm1d(16, epsilon 1e-05, momentum 0.1 of the new value, running variance / (n - 1))",
                      self.output)
        self.assertIn("Its loss's gradient check: pass\n", self.output)
        self.assertEqual([row[:2] for row in rows(self.output)],
                         [("plain", "1"), ("batchnorm", "1"), ("plain", "2"), ("batchnorm", "2")])
        self.assertEqual(len(lines) - lines.index(next(line for line in lines if line.startswith("net "))), 6)

    def test_below_the_last_row_of_the_batch_normalised_net_stands_its_accuracy_with_the_population_statistics(self):
        last = self.output.splitlines()[-1]
        self.assertRegex(last, r"^  its population +2 +[\d.]+ %$")
        with_them = [line.pop("test_accuracy_population", None) for line in self.metrics()]
        self.assertEqual(with_them[:3], [None, None, None])
        self.assertAlmostEqual(100 * with_them[3], float(last.split()[-2]), delta=5.1e-3)
        self.assertAlmostEqual(with_them[3], self.metrics()[3]["test_accuracy_eval_mode"], delta=0.01)

    def test_no_progress_bar_is_drawn_where_standard_error_is_no_terminal(self):
        self.assertEqual(self.error, "")

    def test_the_metrics_are_one_json_object_a_line_with_the_numbers_of_the_table(self):
        for line, row in zip(self.metrics(), rows(self.output), strict=True):
            self.assertEqual(list(line)[:6], KEYS)
            self.assertEqual((line["net"], line["epoch"]), (row[0], int(row[1])))
            self.assertAlmostEqual(line["train_loss"], float(row[2]), delta=5.1e-5)
            self.assertAlmostEqual(100 * line["test_accuracy_train_mode"], float(row[3]), delta=5.1e-3)
            self.assertAlmostEqual(100 * line["test_accuracy_eval_mode"], float(row[4]), delta=5.1e-3)
            self.assertGreater(line["seconds"], 0)

    def test_batch_norm_is_ahead_and_the_plain_net_has_no_modes(self):
        metrics = self.metrics()
        for plain, normalized in zip(metrics[::2], metrics[1::2]):
            self.assertEqual(plain["test_accuracy_train_mode"], plain["test_accuracy_eval_mode"])
            self.assertGreater(normalized["test_accuracy_eval_mode"], plain["test_accuracy_eval_mode"])
            self.assertLess(normalized["train_loss"], plain["train_loss"])

    def test_the_same_seed_and_threads_give_the_same_numbers_bit_for_bit_and_another_seed_others(self):
        def numbers(name, seed):
            self.run_program(*SHORT, "--epochs", "2", "--seed", seed, "--metrics", name)
            return [{**line, "seconds": 0} for line in self.metrics(name)]
        first = [{**line, "seconds": 0} for line in self.metrics()]
        self.assertEqual(numbers("again", "3"), first)
        self.assertNotEqual(numbers("other", "4"), first)

    def test_the_plot_is_well_formed_with_a_curve_for_each_net_and_mode_and_whole_epochs_below(self):
        root = xml.parse(self.folder / "plot.svg").getroot()
        self.assertEqual(root.tag, SVG + "svg")
        texts = [text.text for text in root.iter(SVG + "text")]
        for text in ["Training loss", "Test accuracy", "epoch", "cross entropy", "%", "plain", "batchnorm",
                     "plain, training mode", "batchnorm, evaluation mode"]:
            self.assertIn(text, texts)
        curves = [path.get("d") for path in root.iter(SVG + "path") if path.get("class") == "curve"]
        self.assertEqual(len([curve for curve in curves if re.fullmatch(r"M[\d.]+ [\d.]+ L[\d.]+ [\d.]+ ", curve)]), 6)
        below = [text.text for text in root.iter(SVG + "text") if text.get("y") == "343"]
        self.assertEqual(below, 2 * ["1", "2"])


class Modes(Example):
    def test_a_single_epoch_is_visible_as_dots(self):
        self.assertEqual(self.run_program(*SHORT, "--epochs", "1", "--plot", "plot.svg")[0], 0)
        root = xml.parse(self.folder / "plot.svg").getroot()
        self.assertEqual(len(list(root.iter(SVG + "circle"))), 6)

    def test_a_learning_rate_that_ends_in_nan_leaves_table_json_and_plot_well_formed(self):
        status, output, error = self.run_program(*SHORT, "--epochs", "1", "--learning-rate", "1e9", "--metrics",
                                                 "metrics", "--plot", "plot.svg")
        self.assertEqual((status, error), (0, ""))
        self.assertEqual([row[:2] for row in rows(output)], [("plain", "1"), ("batchnorm", "1")])
        self.assertEqual((rows(output)[1][2], self.metrics()[1]["train_loss"]), ("nan", None))
        self.assertEqual({len(line) for line in output.splitlines() if ROW.fullmatch(line)}, {95})
        self.assertNotRegex((self.folder / "plot.svg").read_text(), "nan|inf")
        xml.parse(self.folder / "plot.svg")

    def test_every_activation_and_optimizer_learns(self):
        for activation, optimizer, rate in [("tanh", "adam", "0.001"), ("sigmoid", "momentum", "0.05")]:
            with self.subTest(activation=activation, optimizer=optimizer):
                status, _, error = self.run_program(
                    "--hidden", "16,8", "--threads", "1", "--epochs", "1", "--activation", activation, "--optimizer",
                    optimizer, "--learning-rate", rate, "--metrics", "metrics")
                self.assertEqual((status, error), (0, ""))
                self.assertGreater(self.metrics()[1]["test_accuracy_eval_mode"], 0.6)

    def test_a_cosine_schedule_takes_smaller_steps_than_a_constant_one_and_the_plain_net_learns_less_from_them(self):
        losses = {}
        for schedule in ["constant", "cosine"]:
            self.assertEqual(self.run_program(*SHORT, "--epochs", "2", "--schedule", schedule, "--metrics", "metrics")[0], 0)
            losses[schedule] = [line["train_loss"] for line in self.metrics() if line["net"] == "plain"]
        self.assertGreater(losses["cosine"][1], losses["constant"][1])

    def test_a_layer_of_one_unit_and_a_batch_of_everything_run(self):
        status, output, error = self.run_program("--hidden", "1", "--batch", "60000", "--epochs", "1", "--threads", "1")
        self.assertEqual((status, error, len(rows(output))), (0, "", 2))

    def test_an_interrupt_finishes_the_step_reports_what_was_done_and_exits_with_130(self):
        status, error = self.interrupt_after("batchnorm", "--epochs", "100000", "--metrics", "metrics", "--plot",
                                             "plot.svg")
        self.assertEqual(status, 130)
        self.assertRegex(error, r"^Interrupted in epoch \d+ of (plain|batchnorm); the rows above are complete\n$")
        self.assertEqual([line["net"] for line in self.metrics()][:2], ["plain", "batchnorm"])
        self.assertGreaterEqual(len(list(xml.parse(self.folder / "plot.svg").getroot().iter(SVG + "circle"))), 0)

    def test_a_progress_bar_is_drawn_on_a_terminal_and_wiped_but_not_on_a_dumb_one(self):
        for terminal, drawn in [("xterm", True), ("dumb", False)]:
            with self.subTest(terminal=terminal):
                self.environment["TERM"] = terminal
                parent, child = pty.openpty()
                process = self.start(*SHORT, "--epochs", "1", stderr=child)
                os.close(child)
                shown = b""
                try:
                    while block := os.read(parent, 4096):
                        shown += block
                except OSError:  # the other end is closed
                    pass
                os.close(parent)
                process.communicate(timeout=60)
                self.assertEqual(process.returncode, 0)
                self.assertEqual(b"plain 1/1 [" in shown and b"468/468" in shown, drawn)
                self.assertTrue(shown.endswith(b"\r\x1b[K") if drawn else shown == b"")


class Options(Example):
    def test_help_teaches_every_option_and_exits_with_0(self):
        status, output, error = self.run_program("--help")
        self.assertEqual((status, error), (0, ""))
        for option in OPTIONS:
            self.assertRegex(output, rf"(?m)^  --{option} [A-Z]")
        for text in ["batch normalisation", "COTAPE_MNIST", "data/download_mnist.sh", "Examples:"]:
            self.assertIn(text, output)

    def test_bad_options_exit_with_2_and_are_named(self):
        for option, values in {"epochs": ["0", "-1", "1.5", "many", "010", "0x1"], "batch": ["1", "60001", "x"],
                               "seed": ["-1", "x", "1.0", "0x10", "99999999999"],
                               "learning-rate": ["0", "-1", "nan", "inf", "fast"], "threads": ["-1", "x"],
                               "hidden": ["", "0", "16,x", "16,-3", "016", "100001", "16,,8", "16,", ",16", ","],
                               "activation": ["gelu", "Relu", ""],
                               "optimizer": ["lbfgs", ""], "schedule": ["linear", ""]}.items():
            for value in values:
                self.check_refused(2, "--" + option, f"--{option}", value)
        self.check_refused(2, "--nonsense", "--nonsense")
        self.check_refused(2, "extra", "extra")
        for option in ["data", "metrics", "plot"]:
            self.check_refused(2, f"--{option}: Value is empty", f"--{option}", "")
        for other in ["same", "./same", str(self.folder / "same")]:
            self.check_refused(1, "are the same file", "--metrics", "same", "--plot", other)
            self.assertFalse((self.folder / "same").exists())

    def test_a_learning_rate_is_refused_in_one_short_line(self):
        self.assertEqual(self.run_program("--learning-rate", "0")[2],
                         "--learning-rate: Value 0 is not a positive number\nRun with --help for more information.\n")

    def test_a_data_folder_without_mnist_is_refused_and_the_metrics_of_before_stay(self):
        (self.folder / "metrics").write_text("before\n")
        self.check_refused(1, "mnist_batchnorm: mnist: expected a folder of four files, got nowhere, which does "
                           "not exist", "--data", "nowhere",
                           "--metrics", "metrics")
        self.assertEqual((self.folder / "metrics").read_text(), "before\n")
        self.check_refused(1, "nowhere", "--data", "nowhere", "--plot", "plot.svg")
        self.assertFalse((self.folder / "plot.svg").exists())

    def test_few_images_are_enough_but_for_a_batch(self):
        write_few_digits(self.folder / "few")
        status, output, error = self.run_program("--data", "few", "--batch", "10", "--epochs", "1")
        self.assertEqual((status, error, len(rows(output))), (0, "", 2))
        status, _, error = self.run_program("--data", "few")
        self.assertEqual((status, error), (1, "mnist_batchnorm: --batch: a batch of 128 needs as many training examples, "
                                              "got 10\n"))

    def test_a_target_that_is_never_reached_is_told(self):
        status, output, _ = self.run_program(*SHORT, "--epochs", "1", "--target-loss", "1e-9", "--metrics", "metrics")
        self.assertEqual((status, output.count("the training loss was never at its target\n")), (0, 2))
        self.assertEqual([line["steps_to_target"] for line in self.metrics()], [None, None])

    def test_links_to_one_file_or_to_themselves_are_refused_and_files_of_before_stay(self):
        (self.folder / "link").symlink_to("target")
        self.check_refused(1, "are the same file", "--metrics", "link", "--plot", "target")
        self.assertFalse((self.folder / "target").exists())
        (self.folder / "loop").symlink_to("loop")
        self.check_refused(1, "write: cannot open loop", "--metrics", "loop", "--plot", "plot.svg")

    def test_an_interrupt_before_the_first_row_leaves_the_files_of_before(self):
        for name in ["old.jsonl", "old.svg"]:
            (self.folder / name).write_text("before\n")
        status, error = self.interrupt_after("Its loss's gradient check", "--metrics", "old.jsonl", "--plot", "old.svg")
        self.assertEqual((status, error), (130, "Interrupted in epoch 1 of plain\n"))
        for name in ["old.jsonl", "old.svg"]:
            self.assertEqual((self.folder / name).read_text(), "before\n")

    def test_files_that_cannot_be_written_are_refused_before_training(self):
        for option in ["--metrics", "--plot"]:
            for file in ["no/such/folder/file", "."]:
                self.check_refused(1, f"mnist_batchnorm: write: cannot open {file}\n", option, file)

    @unittest.skipUnless(os.path.exists("/dev/full"), "needs /dev/full")
    def test_a_full_disk_is_reported(self):
        for option, done in [("--metrics", 1), ("--plot", 2)]:
            status, output, error = self.run_program(*SHORT, "--epochs", "1", option, "/dev/full")
            self.assertEqual((status, len(rows(output))), (1, done))
            self.assertEqual(error, "mnist_batchnorm: write: /dev/full could not be written in full\n")

    def test_a_folder_named_by_the_environment_without_mnist_falls_back_to_generated_digits(self):
        self.environment["COTAPE_MNIST"] = str(self.folder)
        status, output, _ = self.run_program(*SHORT, "--epochs", "1")
        self.assertEqual(status, 0)
        self.assertTrue(output.startswith(f"Data: no MNIST in {self.folder}, which COTAPE_MNIST names"))


if __name__ == "__main__":
    unittest.main()
