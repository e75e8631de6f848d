"""Runs the example as a user does, on generated digits. The program's path is the only argument."""

import unittest

from mnist_example import KEYS, metrics, rows, run, texts

OPTIONS = ["data", "epochs", "batch", "learning-rate", "hidden", "activation", "optimizer", "schedule", "seed", "threads",
           "metrics", "plot"]
SHORT = ["--hidden", "4,8", "--epochs", "1", "--threads", "1"]


class Run(unittest.TestCase):
    """One epoch of a small net, looked at from all sides."""

    @classmethod
    def setUpClass(cls):
        cls.status, cls.output, cls.error = run(*SHORT, "--metrics", "metrics", "--plot", "plot.svg")

    def test_a_run_shows_the_net_its_gradient_check_and_a_row_for_each_net(self):
        self.assertEqual((self.status, self.error), (0, ""))
        for layer in ["Unflatten(axis 1 to [1, 28, 28])", "Conv2d(1 -> 4, kernel [3, 3], padding 1, no bias)",
                      "BatchNorm2d(4, ", "MaxPool2d(kernel 2)", "Conv2d(4 -> 8, ", "Linear(392 -> 10)"]:
            self.assertIn(layer, self.output)
        self.assertIn("Its loss's gradient check: pass\n", self.output)
        self.assertEqual(rows(self.output), [("plain", "1"), ("batchnorm", "1")])

    def test_the_metrics_are_those_of_the_other_examples_and_batch_norm_is_ahead(self):
        plain, normalized = metrics("metrics")
        for line, net in [(plain, "plain"), (normalized, "batchnorm")]:
            self.assertEqual(list(line)[:6], KEYS)
            self.assertEqual((line["net"], line["epoch"]), (net, 1))
        self.assertEqual(plain["test_accuracy_train_mode"], plain["test_accuracy_eval_mode"])
        self.assertLess(normalized["train_loss"], plain["train_loss"])
        self.assertGreater(normalized["test_accuracy_eval_mode"], 0.9)
        self.assertGreater(normalized["test_accuracy_population"], 0.9)
        self.assertNotIn("test_accuracy_population", plain)

    def test_the_plot_is_well_formed_with_both_nets_in_it(self):
        for text in ["plain", "batchnorm", "plain, training mode", "batchnorm, evaluation mode"]:
            self.assertIn(text, texts("plot.svg"))


class Options(unittest.TestCase):
    def test_help_teaches_every_option(self):
        status, output, error = run("--help")
        self.assertEqual((status, error), (0, ""))
        for option in OPTIONS:
            self.assertRegex(output, rf"(?m)^  --{option} [A-Z]")
        for text in ["feature map", "COTAPE_MNIST", "data/download_mnist.sh", "Examples:", "--schedule cosine"]:
            self.assertIn(text, output)

    def test_bad_options_exit_with_2_and_are_named(self):
        for option, value in [("hidden", "0"), ("hidden", "1,1,1,1,1"), ("schedule", "linear"), ("epochs", "0")]:
            status, _, error = run(*SHORT, f"--{option}", value)
            self.assertEqual(status, 2)
            self.assertIn("--" + option, error)


if __name__ == "__main__":
    unittest.main()
