"""The products of a shapes file in Needletail, PyTorch, oneDNN and OpenBLAS, interleaved: GFLOP/s and ratios in one table.

Run from the repository's root after `swift build -c release --product needletail`. In each round `needletail bench gemm --json`
measures all shapes beside OpenBLAS, then every PyTorch process does. Medians over the rounds are compared. Every contestant is
given the best of one thread, two threads, and (PyTorch, oneDNN) two threads bound to their CPUs. A product that takes a peer over
`--limit-seconds` is ended and not tried again, and nothing begins after `--minutes`, when the whole ends.
"""

import argparse
import json
import os
import statistics
import tempfile

from bounded import Allowance, TookTooLong, Worker, add_bounds, output_of
from machine import cpu_name, settings, threads_of

HERE = os.path.dirname(os.path.abspath(__file__))
TYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}


def read_shapes(path):
    """(shape, layout, label) of each line."""
    shapes = []
    with open(path) as file:
        for line in file:
            words = line.split("#")[0].split()
            if words:
                sizes, _, layout = words[0].partition("/")
                shapes.append((tuple(int(size) for size in sizes.split("x")), layout or "NN", " ".join(words[1:])))
    return shapes


def without_giants(path, largest, folder):
    """A copy of the file without products of more than `largest` operations, which would take minutes."""
    copy = os.path.join(folder, os.path.basename(path))
    with open(copy, "w") as file:
        for (m, n, k), layout, label in read_shapes(path):
            if 2 * m * n * k <= largest:
                file.write(f"{m}x{n}x{k}/{layout} {label}\n")
    return copy


def add_needletail(times, options, threads, allowance):
    """One round of `needletail bench`: its own times, and OpenBLAS's in the same run."""
    command = [options.needletail, "bench", "gemm", "--shapes", options.shapes, "--json"]
    command += ["--threads", ",".join(threads), "--min-time", str(options.seconds)]
    output = output_of(command, "Needletail", allowance, each=allowance.total)
    for line in output.splitlines():
        result = json.loads(line)
        shape = ((result["m"], result["n"], result["k"]), result["layout"])
        kind = next(short for short, long in TYPES.items() if long == result["types"])
        way = f"{result['threads']} thread{'s' if result['threads'] > 1 else ''}"
        times.setdefault((shape, "needletail", kind, way), []).append(result["median_seconds"])
        times.setdefault((shape, "openblas", "f32", way), []).append(result["baseline_seconds"])
        options.openblas = result["baseline"]


def best(times, shape, contestant, kind):
    """Least median over the ways to run, and the way; None where the contestant has no such product."""
    medians = [
        (statistics.median(values), way)
        for (place, name, type_name, way), values in times.items()
        if (place, name, type_name) == (shape, contestant, kind)
    ]
    return min(medians) if medians else None


def measure(options):
    """Seconds by (shape, contestant, type, way), by such keys what took too long, and the versions."""
    allowance = Allowance.of(options)
    ways = settings()
    shapes = read_shapes(options.shapes)
    workers = [Worker(way, environment) for way, environment in ways.items()]
    threads = sorted({str(threads_of(way)) for way in ways})
    times, reasons = {}, {}

    def ask(worker, shape, layout, contestant, kind):
        key = ((shape, layout), contestant, kind, worker.way)
        if key in reasons:
            return
        try:
            answer = worker.ask(
                allowance, shape=shape, layout=layout, contestant=contestant, type=kind, seconds=options.seconds
            )
        except TookTooLong as error:
            reasons[key] = str(error)
            return
        if "seconds" in answer:
            times.setdefault(key, []).append(answer["seconds"])

    try:
        for number in range(options.rounds):
            if number > 0 and allowance.is_over():
                break
            add_needletail(times, options, threads, allowance)
            for worker in workers:
                for shape, layout, _ in shapes:
                    for kind in TYPES:
                        for contestant in ["torch", "onednn"]:
                            ask(worker, shape, layout, contestant, kind)
    except TookTooLong as error:  # Needletail, in a round after the first
        if not times:
            raise SystemExit(f"compare_products: not measured: {error}") from None
    finally:
        versions = workers[0].versions
        for worker in workers:
            worker.close()
    return times, reasons, versions


def table(options, times, reasons):
    """Markdown: a row a shape and type; the ratios' geometric means last."""
    lines = [
        "| product | type | Needletail | PyTorch | oneDNN | OpenBLAS f32 | over PyTorch | over oneDNN | over OpenBLAS |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ratios = {}
    for sizes, layout, label in read_shapes(options.shapes):
        shape = (sizes, layout)
        operations = 2 * sizes[0] * sizes[1] * sizes[2]
        for kind in TYPES:
            ours = best(times, shape, "needletail", kind)
            cells = [f"{operations / ours[0] / 1e9:.0f} ({short(ours[1])})"]
            over = []
            for peer, peer_kind in [("torch", kind), ("onednn", kind), ("openblas", "f32")]:
                theirs = best(times, shape, peer, peer_kind)
                if theirs is None:
                    slow = [text for key, text in reasons.items() if key[:3] == (shape, peer, peer_kind)]
                    cells.append(f"not measured: {slow[0]}" if slow else "-")
                    over.append("-")
                    continue
                cells.append(f"{operations / theirs[0] / 1e9:.0f} ({short(theirs[1])})")
                over.append(f"{theirs[0] / ours[0]:.2f}")
                ratios.setdefault((kind, peer), []).append(theirs[0] / ours[0])
            name = f"{'x'.join(map(str, sizes))} {layout} {label}".strip()
            lines.append(f"| {name} | {kind} | {' | '.join(cells)} | {' | '.join(over)} |")
    for kind in TYPES:
        means = [
            f"{statistics.geometric_mean(ratios[kind, peer]):.2f}" if (kind, peer) in ratios else "-"
            for peer in ["torch", "onednn", "openblas"]
        ]
        lines.append(f"| geometric mean | {kind} | | | | | {' | '.join(means)} |")
    return "\n".join(lines), ratios


def short(way):
    return way.replace(" threads", "").replace(" thread", "").replace(", bound", " bound")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="?", default=os.path.join(HERE, "..", "Shapes", "mlp.txt"))
    parser.add_argument("--needletail", default=".build/release/needletail")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05, help="of each contestant a round")
    parser.add_argument("--largest", type=float, default=2e10, help="operations of the largest product measured")
    parser.add_argument("--json", help="also write medians and ratios to this file")
    add_bounds(parser, seconds=60, minutes=15)
    options = parser.parse_args()
    options.needletail = os.path.abspath(options.needletail)
    with tempfile.TemporaryDirectory() as folder:
        options.shapes = without_giants(options.shapes, options.largest, folder)
        times, reasons, versions = measure(options)
        text, ratios = table(options, times, reasons)
    print(
        f"{cpu_name()}; {os.path.basename(options.shapes)}; GFLOP/s, in brackets the threads of the best way; ratios of times, above 1 "
        f"Needletail is faster; medians of {options.rounds} interleaved rounds.\n"
        f"PyTorch {versions.get('torch')}: torch.mm into an existing result. oneDNN {versions.get('onednn')}, the one inside PyTorch: its inner "
        "product, called through torch. Both pay about a microsecond a call for Python, which counts in products below 10 us.\n"
        f"{options.openblas} kernels, measured by needletail bench. A dash: the peer has no such product on this CPU.\n"
    )
    print(text)
    if options.json:
        means = {f"{kind} {peer}": statistics.geometric_mean(values) for (kind, peer), values in ratios.items()}
        with open(options.json, "w") as file:
            slow = {" ".join(map(str, key)): text for key, text in reasons.items()}
            json.dump({"shapes": os.path.basename(options.shapes), "versions": versions, "ratios": means, "not_measured": slow}, file)


if __name__ == "__main__":
    main()
