"""Runs the example as a user does. The program's path is the only argument."""

import json
import os
import subprocess
import sys
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))


def run(*arguments):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


class Example(unittest.TestCase):
    def test_the_wrong_rule_is_caught_and_named_and_the_mended_one_passes(self):
        status, output, error = run()
        self.assertEqual((status, error), (0, ""))
        wrong, mended = output.split("With the mended rule:\n")
        self.assertTrue(wrong.startswith("With the wrong rule:\ngradient check: fail: the gradient is wrong at order 1"))
        self.assertIn("mean_square at gradient_check.cpp:", wrong)
        self.assertIn("looks like a missing factor 1/24\n", wrong)
        self.assertTrue(mended.startswith("gradient check: pass\n"))

    def test_the_status_is_for_scripts(self):
        self.assertEqual(run("--rule", "wrong")[0], 1)
        self.assertEqual(run("--rule", "mended", "--order", "1")[0], 0)

    def test_json_is_for_machines(self):
        status, output, _ = run("--rule", "wrong", "--json")
        report = json.loads(output)
        self.assertEqual((status, report["verdict"]), (1, "fail"))
        self.assertEqual([rule["op"] for rule in report["wrong_rules"]], ["mean_square"])
        self.assertAlmostEqual(report["wrong_rules"][0]["worst"]["got"] / report["wrong_rules"][0]["worst"]["expected"], 24)

    def test_json_of_both_rules_is_a_line_each(self):
        status, output, _ = run("--json")
        self.assertEqual((status, [json.loads(line)["verdict"] for line in output.splitlines()]), (0, ["fail", "pass"]))

    def test_output_that_is_lost_is_a_failure(self):
        with open("/dev/full", "w") as full:
            self.assertEqual(subprocess.run([PROGRAM, "--rule", "mended"], stdout=full, timeout=120).returncode, 1)

    def test_help_teaches(self):
        status, output, _ = run("--help")
        self.assertEqual(status, 0)
        for words in ["--rule", "--order", "--json", "inconclusive", "status 2", "Example:"]:
            self.assertIn(words, output)

    def test_what_it_does_not_know_is_refused(self):
        for arguments in [["--rule", "none"], ["--order", "5"], ["--nonsense"]]:
            status, output, error = run(*arguments)
            self.assertNotEqual(status, 0)
            self.assertEqual(output, "")
            self.assertIn(arguments[0], error)


unittest.main()
