"""The tutorial's job in all six precisions, ten seeds each: the README's table, in Markdown.

Run from the repository's root after `swift build -c release`. Needs only Python's standard library.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile

PRECISIONS = ["32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--needletail", default=".build/release/needletail")
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", default="0,1,2,3,4,5,6,7,8,9")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]

    runs = {precision: [] for precision in PRECISIONS}
    with tempfile.TemporaryDirectory() as folder:
        metrics = os.path.join(folder, "metrics.jsonl")
        for seed in seeds:  # seeds outside: every precision meets the same weather
            for precision in PRECISIONS:
                command = [os.path.abspath(options.needletail), "train", "--data", options.data]
                command += ["--epochs", str(options.epochs), "--precision", precision, "--seed", str(seed)]
                command += ["--threads", str(options.threads), "--metrics", metrics]
                subprocess.run(command, check=True, capture_output=True, cwd=folder)
                with open(metrics) as file:
                    runs[precision].append(json.loads(file.readlines()[-1]))
                os.remove(metrics)

    print("| precision | test accuracy, mean (least - most) | test loss | samples/s, median | skipped steps | peak memory |")
    print("|---|---|---|---|---|---|")
    for precision, summaries in runs.items():
        accuracy = [100 * summary["test_accuracy"] for summary in summaries]
        loss = statistics.mean(summary["test_loss"] for summary in summaries)
        rate = statistics.median(summary["samples_per_second"] for summary in summaries)
        skipped = sum(summary["steps_skipped"] for summary in summaries)
        memory = max(summary["peak_rss_bytes"] for summary in summaries) / 2**20
        print(
            f"| {precision} | {statistics.mean(accuracy):.2f}% ({min(accuracy):.2f} - {max(accuracy):.2f}) | {loss:.4f} "
            f"| {rate:,.0f} | {skipped} | {memory:.0f} MiB |"
        )


if __name__ == "__main__":
    main()
