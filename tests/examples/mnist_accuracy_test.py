"""The accuracies on real MNIST, from the folder that COTAPE_MNIST names; skipped without it. The only argument is the
program's path. The ranges are those of PyTorch 1.13 over three seeds for the same nets and options; a seed of ours may
lie 0.4 percentage points outside."""

import json
import os
import subprocess
import sys
import tempfile

# Test accuracy after five epochs in training mode and in evaluation mode, in percent.
EXPECTED = {"plain": ((89.6, 89.8), (89.6, 89.8)), "batchnorm": ((96.5, 96.6), (96.8, 96.9))}
TOLERANCE = 0.4

if not os.environ.get("COTAPE_MNIST"):
    print("COTAPE_MNIST names no folder")
    sys.exit(77)

with tempfile.NamedTemporaryFile("r") as metrics:
    subprocess.run([sys.argv[1], "--epochs", "5", "--metrics", metrics.name], check=True)
    results = {line["net"]: line for line in map(json.loads, metrics) if line["epoch"] == 5}

wrong = []
for net, ranges in EXPECTED.items():
    for mode, (low, high) in zip(["train", "eval"], ranges):
        percent = 100 * results[net][f"test_accuracy_{mode}_mode"]
        if not low - TOLERANCE <= percent <= high + TOLERANCE:
            wrong.append(f"{net}, {mode} mode: {percent:.2f} %, expected {low} to {high}")
normalized = results["batchnorm"]
if normalized["test_accuracy_eval_mode"] < normalized["test_accuracy_train_mode"] - 0.003:
    wrong.append("batch norm is worse in evaluation mode than in training mode")
sys.exit("\n".join(wrong) or 0)
