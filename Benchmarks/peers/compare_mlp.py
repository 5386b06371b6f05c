"""Needletail beside PyTorch on the tutorial's job, interleaved: rates in samples/s and their ratios.

Each round runs every contestant once, as a process of its own; medians over the rounds are compared. A rate leaves out the
start of the process and validation. Run from the repository's root after `swift build -c release`.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def run_torch(options, arguments):
    command = [sys.executable, os.path.join(HERE, "mlp_loop.py"), "--data", options.data, "--epochs", str(options.epochs)]
    command += ["--batch-size", str(options.batch_size), "--threads", str(options.threads)] + arguments
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return json.loads(output)["samples_per_second"]


def run_needletail(options, precision):
    with tempfile.TemporaryDirectory() as folder:
        metrics = os.path.join(folder, "metrics.jsonl")
        command = [options.needletail, "train", "--data", options.data, "--epochs", str(options.epochs)]
        command += ["--batch-size", str(options.batch_size), "--precision", precision, "--threads", str(options.threads)]
        command += ["--metrics", metrics]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
        with open(metrics) as file:
            return json.loads(file.readlines()[-1])["samples_per_second"]


def cpu_name():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--needletail", default=".build/release/needletail")
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.needletail = os.path.abspath(options.needletail)

    contestants = {
        "needletail 32-true": lambda: run_needletail(options, "32-true"),
        "needletail bf16-mixed": lambda: run_needletail(options, "bf16-mixed"),
        "needletail 16-mixed": lambda: run_needletail(options, "16-mixed"),
        "torch fp32": lambda: run_torch(options, ["--precision", "fp32"]),
        "torch fp32, fused Adam": lambda: run_torch(options, ["--precision", "fp32", "--fused"]),
        "torch bf16": lambda: run_torch(options, ["--precision", "bf16"]),
        "torch bf16, fused Adam": lambda: run_torch(options, ["--precision", "bf16", "--fused"]),
    }
    rates = {name: [] for name in contestants}
    for _ in range(options.rounds):
        for name, contest in contestants.items():
            rates[name].append(contest())

    print(f"{cpu_name()}, {options.threads} thread(s), batch {options.batch_size}, {options.rounds} rounds, samples/s")
    print(f"{'':24} {'median':>9} {'least':>9} {'most':>9}")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        print(f"{name:24} {medians[name]:9,.0f} {min(values):9,.0f} {max(values):9,.0f}")
    for ours in [name for name in rates if name.startswith("needletail")]:
        ratios = [f"{medians[ours] / medians[peer]:.2f}x {peer}" for peer in rates if peer.startswith("torch")]
        print(f"{ours}: " + ", ".join(ratios))


if __name__ == "__main__":
    main()
