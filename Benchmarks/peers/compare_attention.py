"""Causal attention forward and backward beside PyTorch's scaled_dot_product_attention, and a GPT's generation beside reading its weights.

  python compare_attention.py --needletail .build/release/needletail --threads 1

Rounds in which each contestant runs once, as a process of its own; medians over the rounds. A run that takes over --limit-seconds
is ended, its contestant left out from then on, and after --minutes the whole ends. Batch 1, 12 heads of 64, 1,024 tokens.
Generation: 4 tokens of a GPT-2 of 124 M parameters, one by one; its baseline reads as many bytes in the same run.
"""

import argparse
import json
import os
import statistics
import sys

from bounded import Allowance, TookTooLong, add_bounds, output_of, take_turns

LOOP = """
import json, sys, time, torch, torch.nn.functional as F
torch.set_num_threads(int(sys.argv[1]))
kind = getattr(torch, sys.argv[2])
q, k, v, dy = (torch.rand(1, 12, 1024, 64).mul(2).sub(1).to(kind) for _ in range(4))
inputs = [x.requires_grad_() for x in (q, k, v)]
times = []
for _ in range(25):
    start = time.perf_counter()
    torch.autograd.grad(F.scaled_dot_product_attention(*inputs, is_causal=True), inputs, dy)
    times.append(time.perf_counter() - start)
print(json.dumps(sorted(times[3:])[11]))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--needletail", default=".build/release/needletail")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    add_bounds(parser, seconds=120, minutes=10)
    o = parser.parse_args()
    allowance = Allowance.of(o)

    def bench(*arguments):
        command = [os.path.abspath(o.needletail), "bench", *arguments, "--threads", str(o.threads), "--json"]
        return [json.loads(line) for line in output_of(command, "Needletail", allowance).splitlines()]

    types = ["float32", "bfloat16", "float16"]
    environment = dict(os.environ, OMP_NUM_THREADS=str(o.threads))

    def ours():
        lines = bench("attention", "--shapes", "1024x12x64")
        return {line["types"]: line["median_seconds"] for line in lines}

    def theirs(t):
        command = [sys.executable, "-c", LOOP, str(o.threads), t]
        return json.loads(output_of(command, "peer", allowance, env=environment))

    contestants = {"needletail": ours} | {t: lambda t=t: theirs(t) for t in types}
    found, reasons = take_turns(contestants, o.rounds, allowance)
    print(f"Causal attention, forward and backward, 1,024 tokens, 12 heads of 64, {o.threads} thread(s), medians of {o.rounds} rounds\n")
    print("| type | Needletail, ms | PyTorch, ms | ratio |\n|---|---|---|---|")
    for t in types:
        reason = reasons.get("needletail") or reasons.get(t)
        if reason:
            print(f"| {t} | - | - | not measured: {reason} |")
            continue
        mine, peer = statistics.median(times[t] for times in found["needletail"]), statistics.median(found[t])
        print(f"| {t} | {1e3 * mine:.2f} | {1e3 * peer:.2f} | {peer / mine:.2f} |")
    print("\nGeneration, 12 layers of width 768, vocabulary 50,257\n\n| type | tokens/s | GB/s | of reading as much |\n|---|---|---|---|")
    try:
        lines = bench("generation", "--shapes", "12x768x50257", "--min-time", "1")
    except TookTooLong as error:
        print(f"| all | not measured: {error} | - | - |")
        return
    for line in lines:
        print(f"| {line['types']} | {4 / line['median_seconds']:.1f} | {line['rate']:.1f} | {100 * line['ratio']:.0f}% |")


if __name__ == "__main__":
    main()
