"""Training a GPT, 6 layers, 6 heads, width 384, context 256, batch 16: Needletail and PyTorch in turns, each in a process of its own.

  python compare_gpt.py --needletail .build/release/needletail --data input.txt --rounds 5

Prints a table of medians of tokens a second (and their range) and of peak memory, and the bars of issue 8: 1.4 times PyTorch in fp32,
2.2 times in bf16, at most 60% of its memory. Each round of an engine is --steps steps after one that is not counted. A run that takes
over --limit-seconds is ended, its contestant left out from then on, and after --minutes the whole ends.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile

from bounded import Allowance, add_bounds, output_of, take_turns
from machine import cpu_name

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import pictures  # noqa: E402


def needletail(o, precision):
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as metrics:
        command = [
            o.needletail, "train", "--model", "gpt", "--data", o.data, "--precision", precision, "--quiet", "--threads", str(o.threads),
            "--max-steps", str(o.steps + 1), "--limit-val-batches", "0", "--num-sanity-val-steps", "0", "--metrics", metrics.name,
            "--warmup-steps", "0", "--schedule", "constant",
        ]  # fmt: skip
        output_of(command, "Needletail", o.allowance, cwd=tempfile.gettempdir())
        events = [json.loads(line) for line in open(metrics.name)]
    steps = [e for e in events if e["event"] == "step"]
    times = [e["seconds"] for e in steps]
    rates = [16 * 256 / (b - a) for a, b in zip(times, times[1:])]
    return {"rates": rates, "peak_rss_bytes": events[-1]["peak_rss_bytes"], "losses": [e["loss"] for e in steps]}


def pytorch(o, precision):
    command = [
        sys.executable, os.path.join(HERE, "gpt_loop.py"), "--data", o.data, "--precision", precision, "--steps", str(o.steps),
        "--threads", str(o.threads),
    ]  # fmt: skip
    environment = dict(os.environ, OMP_NUM_THREADS=str(o.threads))
    output = output_of(command, "peer", o.allowance, env=environment)
    return json.loads(output.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--needletail", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--picture", help="also draw the medians in this SVG file")
    add_bounds(parser, seconds=300, minutes=15)
    o = parser.parse_args()
    o.allowance = Allowance.of(o)
    o.needletail, o.data = os.path.abspath(o.needletail), os.path.abspath(o.data)

    contestants = {}
    for precision in ["32-true", "bf16-mixed", "16-mixed"]:
        contestants["needletail", precision] = lambda precision=precision: needletail(o, precision)
        if precision != "16-mixed":  # PyTorch's float16 attention takes ten times as long as its float32
            contestants["pytorch", precision] = lambda precision=precision: pytorch(o, precision)
    results, reasons = take_turns(contestants, o.rounds, o.allowance)
    found = {
        name: {
            "rates": [rate for result in runs for rate in result["rates"]],
            "peak": [result["peak_rss_bytes"] / 2**20 for result in runs],
        }
        for name, runs in results.items()
    }
    print(f"GPT 6 x 384, context 256, batch 16, {o.threads} thread(s), {o.rounds} rounds of {o.steps} steps in turns\n")
    print("| engine | precision | tokens/s, median (range) | peak memory, MiB |\n|---|---|---|---|")
    for (name, precision), entry in found.items():
        rates = entry["rates"]
        print(
            f"| {name} | {precision} | {statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f}) "
            f"| {statistics.median(entry['peak']):.0f} |"
        )
    for (name, precision), reason in reasons.items():
        print(f"| {name} | {precision} | not measured: {reason} | - |")
    print()
    for precision, bar in [("32-true", 1.4), ("bf16-mixed", 2.2)]:
        if ("needletail", precision) not in found or ("pytorch", precision) not in found:
            print(f"- {precision}: not measured (bar {bar})")
            continue
        ours, theirs = found["needletail", precision], found["pytorch", precision]
        speed = statistics.median(ours["rates"]) / statistics.median(theirs["rates"])
        memory = statistics.median(ours["peak"]) / statistics.median(theirs["peak"])
        print(f"- {precision}: {speed:.2f} times PyTorch (bar {bar}), {100 * memory:.0f}% of its memory (bar 60%)")
    if o.picture:
        names = {"needletail": "Needletail", "pytorch": "PyTorch"}
        rates = [(f"{names[engine]} {precision}", statistics.median(e["rates"])) for (engine, precision), e in found.items()]
        subtitle = f"{cpu_name()}, {o.threads} thread(s), context 256, batch 16, AdamW; medians"
        pictures.bars(o.picture, "Training a GPT of 6 layers, width 384: tokens/s", subtitle, sorted(rates))


if __name__ == "__main__":
    main()
