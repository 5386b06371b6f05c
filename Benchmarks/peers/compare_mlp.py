"""Needletail beside PyTorch and Lightning on the tutorial's job, interleaved: one table with ratios.

First a heat: every contestant runs once in each way, one thread, two threads, two threads bound to their CPUs (PyTorch also with
plain and fused Adam; Python's contestants on 12,800 samples); its fastest way goes on. Then rounds in which
each contestant runs once, as a process of its own; medians over the rounds are compared. A rate leaves out the start of the process
and the test. A run that takes over `--limit-seconds` is ended, its contestant left out from then on, and after `--minutes` the whole
ends. Run from the repository's root after `swift build -c release`. Contestants whose packages are missing are left out.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

from bounded import START_SECONDS, Allowance, TookTooLong, add_bounds, output_of, take_turns
from machine import cpu_name, settings, threads_of

# Instead of a number of epochs: part of one, where the script can.
HEAT = 0

HERE = os.path.dirname(os.path.abspath(__file__))


def run_python(script, options, precision, way, environment, epochs, fused):
    command = [sys.executable, os.path.join(HERE, script), "--data", options.data, "--epochs", str(max(epochs, 1))]
    command += ["--batch-size", str(options.batch_size), "--threads", str(threads_of(way)), "--precision", precision]
    command += ["--hidden", options.hidden]
    command += ["--fused"] if fused else []
    command += ["--samples", "12800"] if epochs == 0 else []
    environment = dict(os.environ, **environment)
    output = output_of(command, "peer", options.allowance, stderr=subprocess.DEVNULL, env=environment)
    return json.loads(output.splitlines()[-1])


def run_needletail(options, precision, way, environment, epochs):
    with tempfile.TemporaryDirectory() as folder:
        metrics = os.path.join(folder, "metrics.jsonl")
        command = [options.needletail, "train", "--data", options.data, "--epochs", str(max(epochs, 1))]
        command += ["--batch-size", str(options.batch_size), "--precision", precision, "--hidden", options.hidden]
        command += ["--threads", str(threads_of(way)), "--metrics", metrics, "--quiet"]
        environment = dict(os.environ, **environment)
        output_of(command, "Needletail", options.allowance, cwd=folder, env=environment)
        with open(metrics) as file:
            return json.loads(file.readlines()[-1])


def contestants(options):
    """Name -> (runner of (way, environment, epochs), variants): the variants are tried in every way."""

    def python(script, precision):
        return lambda way, environment, epochs, fused: run_python(
            script, options, precision, way, environment, epochs, fused
        )

    def needletail(precision):
        return lambda way, environment, epochs, _: run_needletail(options, precision, way, environment, epochs)

    result = {f"Needletail {precision}": (needletail(precision), [None]) for precision in ["32-true", "bf16-mixed", "16-mixed"]}
    if has("torch"):
        for precision in ["fp32", "bf16", "fp16"]:
            # The scaler's own finite check makes fused Adam with fp16 a matter of one flag, too.
            result[f"PyTorch {precision}"] = (python("mlp_loop.py", precision), [True, False])
    if has("torch") and has("lightning"):
        for precision in ["fp32", "bf16"]:
            result[f"Lightning {precision}"] = (python("lightning_loop.py", precision), [True])
    return result


def has(module):
    command = [sys.executable, "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True, timeout=START_SECONDS).returncode == 0


def version(module):
    command = [sys.executable, "-c", f"import importlib.metadata as m; print(m.version('{module}'))"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def heat(runner, variants):
    """The fastest way of one contestant: (way, environment, variant); or a text, why there is none."""
    tried, reason = [], "failed in every way"
    for way, environment in settings().items():
        for variant in variants:
            try:
                rate = runner(way, environment, HEAT, variant)["samples_per_second"]
            except subprocess.CalledProcessError:
                continue  # a combination that the peer does not have
            except TookTooLong as error:  # or in which its threads wait for one another
                reason = str(error)
                continue
            tried.append((rate, way, environment, variant))
    return max(tried, key=lambda entry: entry[0])[1:] if tried else reason


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--needletail", default=".build/release/needletail")
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--hidden", default="128,256", help="widths of the hidden layers, with commas between")
    parser.add_argument("--only", default="", help="regular expression that contestants' names must match")
    parser.add_argument("--json", help="also write the medians to this file")
    add_bounds(parser, seconds=120, minutes=20)
    options = parser.parse_args()
    options.needletail = os.path.abspath(options.needletail)
    options.allowance = Allowance.of(options)

    entries = {name: entry for name, entry in contestants(options).items() if re.search(options.only, name)}
    heats = {name: heat(runner, variants) for name, (runner, variants) in entries.items()}
    reasons = {name: found for name, found in heats.items() if isinstance(found, str)}
    ways = {name: found for name, found in heats.items() if name not in reasons}

    def run_of(name):
        way, environment, variant = ways[name]
        return lambda: entries[name][0](way, environment, options.epochs, variant)

    runs, slow = take_turns({name: run_of(name) for name in ways}, options.rounds, options.allowance)
    reasons.update(slow)

    def middle(name, key, scale=1.0):
        return statistics.median(run[key] for run in runs[name]) * scale

    rows = []
    for name in runs:
        way, _, variant = ways[name]
        rates = [run["samples_per_second"] for run in runs[name]]
        rows.append(
            {
                "name": name,
                "way": way + {True: ", fused Adam", False: ", plain Adam", None: ""}[variant],
                "samples_per_second": statistics.median(rates),
                "least": min(rates),
                "most": max(rates),
                "seconds_to_first_step": middle(name, "seconds_to_first_step"),
                "peak_mib": middle(name, "peak_rss_bytes", 2**-20),
                "test_accuracy": middle(name, "test_accuracy"),
            }
        )
    ours = [row for row in rows if row["name"].startswith("Needletail")]
    versions = ", ".join(f"{module} {version(module)}" for module in ["torch", "lightning"] if version(module))
    # Two paragraphs: how it was measured, and the table.
    print(f"{cpu_name()}; 784-{options.hidden.replace(',', '-')}-10 on {os.path.basename(options.data)}, Adam 1e-3, batch {options.batch_size}, {options.epochs} epochs;")
    print(f"medians of {options.rounds} interleaved rounds, each contestant in its fastest way of 1 thread, 2 threads, 2 bound; {versions};")
    print("peers: data as tensors in memory, fused or plain Adam as is faster; Lightning without logger, checkpoints, bar, summary.\n")
    columns = " | ".join(f"{row['name'].split()[1]} over it" for row in ours)
    print(f"| contestant | way | samples/s (least - most) | first step | peak memory | test accuracy | {columns} |")
    print("|---" * (6 + len(ours)) + "|")
    for row in rows:
        ratios = " | ".join(f"{own['samples_per_second'] / row['samples_per_second']:.2f}" for own in ours)
        print(
            f"| {row['name']} | {row['way']} | {row['samples_per_second']:,.0f} ({row['least']:,.0f} - {row['most']:,.0f}) "
            f"| {row['seconds_to_first_step']:.2f} s | {row['peak_mib']:.0f} MiB | {100 * row['test_accuracy']:.1f}% | {ratios} |"
        )
    for name, reason in reasons.items():
        print(f"| {name} | not measured: {reason} |" + " - |" * (4 + len(ours)))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows + [{"name": name, "not_measured": reason} for name, reason in reasons.items()], file)


if __name__ == "__main__":
    main()
