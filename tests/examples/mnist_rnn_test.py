"""Runs the example as a user does, on generated digits. The program's path is the only argument."""

import unittest
from pathlib import Path

from few_digits import write_few_digits
from mnist_example import FOLDER, KEYS, metrics, rows, run, texts

NETS = ["lstm", "bn-lstm", "bn-lstm-shared", "bn-lstm-input"]
SHORT = ["--units", "8", "--batch", "500", "--epochs", "1", "--threads", "1", "--learning-rate", "0.01"]


class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.status, cls.output, cls.error = run(*SHORT, "--metrics", "metrics", "--plot", "plot.svg", "--target-loss", "2")

    def test_a_run_shows_the_net_its_gradient_check_and_a_row_for_each_net(self):
        self.assertEqual((self.status, self.error), (0, ""))
        self.assertIn("BatchNormLSTM(28 -> 8)", self.output)
        self.assertIn("recurrent.norm_hh_l0  RecurrentBatchNorm(32, 28 steps", self.output)
        self.assertIn("Its loss's gradient check: pass\n", self.output)
        self.assertEqual(rows(self.output), [(net, "1") for net in NETS])

    def test_the_metrics_name_the_nets_and_the_steps_to_the_target_loss(self):
        lines = metrics("metrics")
        self.assertEqual([line["net"] for line in lines], NETS)
        for line in lines:
            self.assertEqual(list(line)[:6], KEYS)
            self.assertTrue(100 <= line["steps_to_target"] <= 120)
            self.assertEqual("test_accuracy_population" in line, line["net"] != "lstm")
            self.assertGreater(line["test_accuracy_train_mode"], 0.3, line)

    def test_shared_statistics_train_as_those_per_step_do_and_evaluate_otherwise(self):
        by_step, shared = metrics("metrics")[1:3]
        self.assertAlmostEqual(by_step["train_loss"], shared["train_loss"], delta=0.1)
        self.assertNotAlmostEqual(by_step["test_accuracy_eval_mode"], shared["test_accuracy_eval_mode"], delta=0.01)

    def test_the_plot_is_well_formed_with_every_net_in_it(self):
        for net in NETS:
            self.assertIn(net, texts("plot.svg"))


class Options(unittest.TestCase):
    def test_pixels_are_read_in_order_or_permuted_and_the_same_seed_gives_the_same_numbers(self):
        def loss(*arguments):
            status, _, error = run("--nets", "lstm", "--steps", "196", "--units", "2", "--batch", "20000", "--epochs", "1",
                                   "--threads", "1", "--metrics", "pixels", *arguments)
            self.assertEqual((status, error), (0, ""))
            self.assertEqual([line["net"] for line in metrics("pixels")], ["lstm"])
            return metrics("pixels")[0]["train_loss"]
        in_order, permuted = loss(), loss("--permute")
        self.assertNotEqual(in_order, permuted)
        self.assertEqual(loss("--permute"), permuted)

    def test_all_784_pixels_are_read_one_by_one_with_statistics_for_each(self):
        write_few_digits(Path(FOLDER.name) / "few")
        status, output, error = run("--data", "few", "--steps", "784", "--units", "2", "--batch", "10", "--epochs", "2",
                                    "--metrics", "all_pixels", "--threads", "1")
        self.assertEqual((status, error), (0, ""))
        lines = metrics("all_pixels")
        self.assertEqual([line["net"] for line in lines], NETS + NETS)
        for line in lines:
            self.assertTrue(0 < line["train_loss"] < 10, line)
        for line in lines[len(NETS):]:
            self.assertEqual("test_accuracy_population" in line, line["net"] != "lstm")

    def test_what_is_out_of_range_is_refused_by_name(self):
        for arguments in [["--nets", "gru"], ["--nets", "lstm,,bn-lstm"], ["--nets", "lstm,bn-lstm,lstm"],
                          ["--steps", "30"], ["--gamma", "-1"], ["--units", "0"], ["--noise", "x"],
                          ["--noise", "nan"], ["--gamma", "nan"], ["--clip-norm", "0"], ["--target-loss", "nan"]]:
            status, output, error = run(*SHORT, *arguments)
            self.assertEqual((status, output), (2, ""), arguments)
            self.assertIn(arguments[0], error)

    def test_the_help_names_the_nets_and_every_option(self):
        status, output, _ = run("--help")
        self.assertEqual(status, 0)
        for text in NETS + ["--nets", "--steps", "--permute", "--units", "--gamma", "--noise", "--optimizer", "rmsprop",
                            "--clip-norm", "--target-loss", "Examples:"]:
            self.assertIn(text, output)


if __name__ == "__main__":
    unittest.main()
