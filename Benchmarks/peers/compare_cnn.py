"""The CNN of `needletail train --model cnn` beside PyTorch, interleaved: one table with ratios.

PyTorch runs with fused Adam and channels-last, its fastest settings. Rounds in which each contestant runs once, as a process of its
own, for so many batches; medians over the rounds are compared. Needletail's rate is the mean over all its batches, the first
included, PyTorch's that of its median batch. A run that takes over `--limit-seconds` is ended, its contestant left out from then on,
and after `--minutes` the whole ends. Run from the repository's root after `swift build -c release`.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

from bounded import Allowance, add_bounds, output_of, take_turns
from machine import cpu_name

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import pictures  # noqa: E402


def run_python(options, precision, threads):
    # float16 convolutions take PyTorch a second and a half a batch on CPUs without instructions for them.
    batches = min(options.batches, 5) if precision == "fp16" else options.batches
    command = [sys.executable, os.path.join(HERE, "cnn_loop.py"), "--data", options.data, "--precision", precision]
    command += ["--batch-size", str(options.batch_size), "--samples", str(batches * options.batch_size), "--no-test"]
    command += ["--threads", str(threads), "--fused", "--channels-last"]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    output = output_of(command, "peer", options.allowance, stderr=subprocess.DEVNULL, env=environment)
    return json.loads(output.splitlines()[-1])


def run_needletail(options, precision, threads):
    with tempfile.TemporaryDirectory() as folder:
        metrics = os.path.join(folder, "metrics.jsonl")
        command = [options.needletail, "train", "--model", "cnn", "--data", options.data, "--epochs", "1"]
        command += ["--batch-size", str(options.batch_size), "--precision", precision, "--threads", str(threads)]
        command += ["--limit-train-batches", str(options.batches), "--limit-val-batches", "1", "--limit-test-batches", "1"]
        command += ["--num-sanity-val-steps", "0", "--metrics", metrics, "--quiet"]
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        output_of(command, "Needletail", options.allowance, cwd=folder, env=environment)
        with open(metrics) as file:
            return json.loads(file.readlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--needletail", default=".build/release/needletail")
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="regular expression that contestants' names must match")
    parser.add_argument("--json", help="also write the medians to this file")
    parser.add_argument("--picture", help="also draw the medians in this SVG file")
    add_bounds(parser, seconds=300, minutes=15)
    options = parser.parse_args()
    options.needletail = os.path.abspath(options.needletail)
    options.allowance = Allowance.of(options)

    def ours(precision):
        return lambda: run_needletail(options, precision, options.threads)

    def torch(precision):
        return lambda: run_python(options, precision, options.threads)

    contestants = {f"Needletail {precision}": ours(precision) for precision in ["32-true", "bf16-mixed", "16-mixed"]}
    contestants |= {f"PyTorch {precision}": torch(precision) for precision in ["fp32", "bf16", "fp16"]}
    contestants = {name: run for name, run in contestants.items() if re.search(options.only, name)}
    runs, reasons = take_turns(contestants, options.rounds, options.allowance)
    rows = [
        {
            "name": name,
            "samples_per_second": statistics.median(run["samples_per_second"] for run in found),
            "least": min(run["samples_per_second"] for run in found),
            "most": max(run["samples_per_second"] for run in found),
            "peak_mib": statistics.median(run["peak_rss_bytes"] for run in found) / 2**20,
        }
        for name, found in runs.items()
    ]
    mine = [row for row in rows if row["name"].startswith("Needletail")]
    print(f"{cpu_name()}, {options.threads} thread(s); the CNN, batch {options.batch_size}, Adam; {options.batches} batches a run;")
    print(f"medians of {options.rounds} interleaved rounds; PyTorch: fused Adam, channels-last.\n")
    columns = " | ".join(f"{row['name'].split()[1]} over it" for row in mine)
    print(f"| contestant | samples/s (least - most) | peak memory | {columns} |")
    print("|---" * (3 + len(mine)) + "|")
    for row in rows:
        ratios = " | ".join(f"{own['samples_per_second'] / row['samples_per_second']:.2f}" for own in mine)
        print(
            f"| {row['name']} | {row['samples_per_second']:,.0f} ({row['least']:,.0f} - {row['most']:,.0f}) "
            f"| {row['peak_mib']:.0f} MiB | {ratios} |"
        )
    for name, reason in reasons.items():
        print(f"| {name} | not measured: {reason} |" + " - |" * (1 + len(mine)))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows + [{"name": name, "not_measured": reason} for name, reason in reasons.items()], file)
    if options.picture:
        subtitle = f"{cpu_name()}, {options.threads} thread(s), batch {options.batch_size}, Adam; PyTorch fused, channels-last; medians"
        rates = [(row["name"], row["samples_per_second"]) for row in rows]
        pictures.bars(options.picture, "Training the CNN on Fashion-MNIST: images/s", subtitle, rates)


if __name__ == "__main__":
    main()
