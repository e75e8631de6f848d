"""Each example gives the same numbers by both evaluators, and on one thread and two. Their paths are the arguments."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAMS = {os.path.basename(path): os.path.abspath(path) for path in sys.argv[1:]}
# A few steps of each are enough: what differs is enlarged from step to step.
SHORT = {
    "mnist_batchnorm": ["--epochs", "1", "--batch", "5000", "--hidden", "32,16"],
    "mnist_conv": ["--epochs", "1", "--batch", "10000", "--hidden", "2"],
    "mnist_rnn": ["--epochs", "1", "--batch", "10000", "--units", "4", "--nets", "lstm,bn-lstm"],
    "paper_figure1": ["--seeds", "1", "--steps", "40", "--every", "20"],
}
# The evaluators add the same terms in double, in another order: float32 results are the same but next to ties of
# rounding. Products of float32 that are cut for two threads round otherwise, 1e-7 of a loss at each step. Whether an
# image is recognised may change where two classes are as likely.
BETWEEN_EVALUATORS = {"loss": 1e-6, "accuracy": 1e-3}
BETWEEN_THREADS = {"loss": 1e-4, "accuracy": 1e-2}


def run(name, evaluator, threads, *arguments):
    environment = {key: value for key, value in os.environ.items() if key != "COTAPE_MNIST"}
    environment.update(COTAPE_EVALUATOR=evaluator, OMP_NUM_THREADS=str(threads))
    done = subprocess.run([PROGRAMS[name], *arguments], env=environment, text=True, capture_output=True, timeout=300)
    return done.stdout


def metrics(name, evaluator, threads):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics"
        run(name, evaluator, threads, *SHORT[name], "--threads", str(threads), "--metrics", str(path))
        return [json.loads(line) for line in path.read_text().splitlines()]


class Examples(unittest.TestCase):
    def assert_alike(self, first, second, bounds):
        self.assertEqual(len(first), len(second))
        for a, b in zip(first, second):
            self.assertEqual(list(a), list(b))
            for key in a:
                if key == "seconds":
                    continue
                delta = bounds["accuracy" if "accuracy" in key else "loss"]
                for x, y in zip(*(value if isinstance(value, list) else [value] for value in (a[key], b[key]))):
                    if isinstance(x, float):
                        self.assertAlmostEqual(x, y, delta=delta * max(1, abs(x)), msg=key)
                    else:
                        self.assertEqual(x, y, key)

    def test_what_trains_has_the_same_metrics(self):
        for name in SHORT:
            with self.subTest(name):
                fused = metrics(name, "fused", 1)
                self.assertGreaterEqual(len(fused), 2)
                self.assert_alike(fused, metrics(name, "plain", 1), BETWEEN_EVALUATORS)
                self.assert_alike(fused, metrics(name, "fused", 2), BETWEEN_THREADS)

    def test_the_first_net_prints_the_same(self):
        printed = run("first_net", "fused", 1)
        self.assertIn("epoch 3: ", printed)
        self.assertEqual(run("first_net", "plain", 1), printed)
        self.assertEqual(run("first_net", "fused", 2), printed)

    def test_the_gradient_check_finds_the_same(self):
        def report(evaluator, threads):
            found = json.loads(run("gradient_check", evaluator, threads, "--rule", "wrong", "--json"))
            rules = [(rule["op"], rule["worst"]["order"], rule["worst"]["got"]) for rule in found["wrong_rules"]]
            return found["verdict"], rules
        verdict, rules = report("fused", 1)
        self.assertEqual(verdict, "fail")
        for evaluator, threads in [("plain", 1), ("fused", 2)]:
            other_verdict, others = report(evaluator, threads)
            self.assertEqual(other_verdict, verdict)
            for (op, order, got), (other_op, other_order, other_got) in zip(rules, others, strict=True):
                self.assertEqual((other_op, other_order), (op, order))
                self.assertAlmostEqual(other_got, got, delta=1e-12 * abs(got))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
