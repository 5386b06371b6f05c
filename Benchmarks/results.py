"""`make results`: measures this machine and writes its page, Benchmarks/Results/<cpu>.md, with pictures; puts its essence in the README.

Runs `needletail bench`, the products of Benchmarks/Shapes beside the peers, the bars, and the training loops beside theirs; about
twelve minutes, and two hours at most: each command has a bound (the minutes beside it below). Where PyTorch is not installed for the Python that runs this (`make results PYTHON=…`), the peers are left out;
a comparison that fails is named on the page instead. The bars are those of `make bars`, the models those of `make models`, if
.build/bars.md and .build/models.md are younger than a day and than the program.
Run from the repository's root after `swift build -c release --product needletail`.
"""

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "peers"))
from bounded import START_SECONDS, Allowance, output_of  # noqa: E402
from machine import cpu_fields, cpu_name  # noqa: E402

import pictures  # noqa: E402

BARS, MODELS = os.path.join(".build", "bars.md"), os.path.join(".build", "models.md")
START, END = "<!-- results: written by `make results` -->", "<!-- end of results -->"


def run(command, minutes):
    """What a command prints, which has so many minutes."""
    print("$ " + " ".join(command), flush=True)
    began = time.time()
    allowance = Allowance(60 * minutes, 60 * minutes, " ".join(os.path.basename(word) for word in command[:2]))
    output = output_of(command, "it", allowance, stderr=None)
    print(f"  {time.time() - began:.0f} s", flush=True)
    return output


def attempt(name, failures, measure):
    """What measure() returns; None, and a line in `failures`, where it fails."""
    try:
        return measure()
    except Exception as error:
        failures.append(f"- {name}: {error}")
        print(f"  {name} failed: {error}", file=sys.stderr, flush=True)
        return None


def recent(path, needletail):
    """The tables that `make bars` or `make models` left, unless they are old."""
    try:
        written = os.path.getmtime(path)
        if written < max(os.path.getmtime(needletail), time.time() - 86400):
            return None
        with open(path) as file:
            return file.read() or None
    except OSError:
        return None


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[0].strip()
    except OSError:
        return "not found"


def slug():
    """The page's name: the CPU's own, with family and model where the name says little."""
    fields = cpu_fields()
    name = re.sub(r"[^a-z0-9]+", "-", cpu_name().lower()).strip("-")
    if "cpu family" in fields:
        name += f"-family-{fields['cpu family']}-model-{fields.get('model', '0')}"
    return name


def seconds(value):
    for factor, unit in [(1e9, "ns"), (1e6, "us"), (1e3, "ms")]:
        if value * factor < 1000:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s"


def size(result):
    if "m" in result:
        return f"{result['m']}x{result['n']}x{result['k']}"
    if "columns" in result:
        return f"{result['rows']}x{result['columns']}"
    return f"batch {result['rows']}" if "rows" in result else f"{result['count']:,}"


def kernel_table(results):
    lines = [
        "| family | shape | type | threads | median | spread | rate | share of | working set | ratio | baseline |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        lines.append(
            f"| {r['family']} | {size(r)} {r['layout']} | {r['types']} | {r['threads']} | {seconds(r['median_seconds'])} "
            f"| {100 * r['spread'] / r['median_seconds']:.1f}% | {r['rate']:.3g} {r['unit']} "
            f"| {100 * r['share_of_peak']:.0f}% {r['limit']} | {r['working_set']} | {r['ratio']:.2f} | {r['baseline']} |"
        )
    return "\n".join(lines)


def gains(results):
    """float32's time over each 16-bit type's: geometric means by family, one thread."""
    lines = ["| family, one thread | bfloat16 over float32 | float16 over float32 |", "|---|---|---|"]
    by = {(r["family"], size(r), r["layout"], r["types"]): r["median_seconds"] for r in results if r["threads"] == 1}
    for family in dict.fromkeys(key[0] for key in by):
        cells = []
        for kind in ["bfloat16", "float16"]:
            ratios = [by[key[:3] + ("float32",)] / t for key, t in by.items() if key[0] == family and key[3] == kind]
            product = 1.0
            for ratio in ratios:
                product *= ratio
            cells.append(f"{product ** (1 / len(ratios)):.2f}x" if ratios else "-")
        if cells != ["-", "-"]:
            lines.append(f"| {family} | {' | '.join(cells)} |")
    return "\n".join(lines)


def png(svg, target):
    """Renders a picture with whatever renderer is there; False without one."""
    browser = next((name for name in ["chromium", "chromium-browser", "google-chrome"] if shutil.which(name)), None)
    if browser:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,800"]
        subprocess.run(command + [f"--screenshot={os.path.abspath(target)}", "file://" + os.path.abspath(svg)], capture_output=True)
    elif shutil.which("rsvg-convert"):
        subprocess.run(["rsvg-convert", "-o", target, svg], check=True)
    return bool(browser or shutil.which("rsvg-convert"))


def write_readme(block):
    with open("README.md") as file:
        text = file.read()
    if START not in text or END not in text:
        raise SystemExit(f"README.md has no lines '{START}' and '{END}'")
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    with open("README.md", "w") as file:
        file.write(before + START + "\n" + block + "\n" + END + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--needletail", default=".build/release/needletail")
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--rounds", type=int, default=3, help="of the training loops, one epoch each")
    parser.add_argument("--min-time", default="0.1", help="of needletail bench")
    parser.add_argument("--seconds", default="0.03", help="of each product a round")
    options = parser.parse_args()
    needletail = os.path.abspath(options.needletail)
    name = slug()
    folder = os.path.join(HERE, "Results")
    os.makedirs(folder, exist_ok=True)
    began = datetime.datetime.now(datetime.timezone.utc)

    doctor = run([needletail, "doctor"], minutes=2)
    roofline = os.path.join(folder, f"{name}-roofline.svg")
    bench = run([needletail, "bench", "--json", "--min-time", options.min_time, "--roofline", roofline], minutes=15)
    if (os.cpu_count() or 1) > 1:
        bench += run([needletail, "bench", "gemm", "step", "--threads", "2", "--json", "--min-time", options.min_time], minutes=10)
    results = [json.loads(line) for line in bench.splitlines()]
    has_png = png(roofline, os.path.join("docs", "roofline.png"))

    products, loops, loop_rows, ratios, bars, failures = [], "", [], {}, "", []
    torch = [sys.executable, "-c", "import torch"]
    if subprocess.run(torch, capture_output=True, timeout=START_SECONDS).returncode == 0:
        with tempfile.TemporaryDirectory() as scratch:

            def compare_products(shapes, rounds):
                file = os.path.join(scratch, shapes + ".json")
                command = [sys.executable, os.path.join(HERE, "peers", "compare_products.py")]
                command += [os.path.join(HERE, "Shapes", shapes + ".txt"), "--needletail", needletail, "--rounds", rounds]
                text = run(command + ["--seconds", options.seconds, "--json", file], minutes=16)
                with open(file) as handle:
                    return text, json.load(handle)["ratios"]

            def compare_loops():
                file = os.path.join(scratch, "loops.json")
                command = [sys.executable, os.path.join(HERE, "peers", "compare_mlp.py"), "--needletail", needletail]
                command += ["--data", options.data, "--rounds", str(options.rounds), "--epochs", "1"]
                text = run(command + ["--json", file], minutes=21)
                with open(file) as handle:
                    return text, json.load(handle)

            def compare_bars():
                command = [sys.executable, os.path.join(HERE, "peers", "compare_bars.py"), "--needletail", needletail]
                return run(command + ["--rounds", "2", "--minutes", "4", "--stage-seconds", "240"], minutes=31)

            for shapes, rounds in [("mlp", "3"), ("gpt2", "2")]:
                found = attempt(f"products of {shapes}.txt", failures, lambda: compare_products(shapes, rounds))
                if found:
                    products.append(found[0])
                    ratios[shapes] = found[1]
            loops, loop_rows = attempt("training loops", failures, compare_loops) or ("", [])
            bars = recent(BARS, needletail) or attempt("bars", failures, compare_bars) or ""
        if loop_rows:
            pictures.bars(
                os.path.join(folder, f"{name}-training.svg"), "Training 784-128-256-10 on Fashion-MNIST: samples/s",
                f"{cpu_name()}, Adam, batch 64; each contestant in its fastest way; medians",
                [(row["name"], row["samples_per_second"]) for row in loop_rows if "not_measured" not in row],
            )  # fmt: skip

    took = (datetime.datetime.now(datetime.timezone.utc) - began).total_seconds()
    sections = [
        f"# {cpu_name()}\n\nWritten by `make results` on {began:%Y-%m-%d} in {took / 60:.0f} minutes; how to read it: "
        "[benchmarks.md](../../docs/benchmarks.md).",
        "## Machine and versions\n\n```\n"
        + doctor.rstrip()
        + f"\nkernel             {first_line(['uname', '-sr'])}\nswift              {first_line(['swift', '--version'])}"
        + f"\ncommit             {first_line(['git', 'describe', '--always', '--dirty', '--abbrev=12'])}\n```",
        "## What 16 bit buys\n\n" + gains(results),
        f"## Kernels\n\n`needletail bench --min-time {options.min_time}`, then `gemm step --threads 2`. Medians of 11 interleaved turns, "
        f"spread: interquartile range.\n\n![roofline]({name}-roofline.svg)\n\n" + kernel_table(results),
    ]
    if bars:
        sections.append("## The bars\n\nWhat the project asks of its kernels, row by row. " + bars.rstrip())
    for text in products:
        head, table = text.split("\n\n", 1)
        sections.append("## Products beside the peers\n\n" + head + "\n\n" + table.rstrip())
    if loops:
        head, table = loops.split("\n\n", 1)
        sections.append(f"## Training loops\n\n{head}\n\n![training]({name}-training.svg)\n\n" + table.rstrip())
    if models := recent(MODELS, needletail):
        shown = ""
        for model in ["cnn", "gpt"]:
            shutil.copy(os.path.join(".build", f"models-{model}.svg"), os.path.join(folder, f"{name}-{model}.svg"))
            shown += f"![{model}]({name}-{model}.svg)\n\n"
        sections.append("## Models beside PyTorch\n\n" + shown + models.rstrip())
    if failures:
        sections.append("## What failed\n\n" + "\n".join(failures))
    with open(os.path.join(folder, f"{name}.md"), "w") as file:
        file.write("\n\n".join(sections) + "\n")

    page = f"Benchmarks/Results/{name}.md"
    block = [f"Measured on {began:%Y-%m-%d} on {cpu_name()}, 2 cores; everything behind it: [{page}]({page}) (`make results`)."]
    if loop_rows:
        block.append(f"![samples per second](Benchmarks/Results/{name}-training.svg)")
        header = "| geometric means of rate ratios, products, best threads | over PyTorch | over oneDNN | over OpenBLAS f32 |"
        lines = [header, "|---|---|---|---|"]
        for shapes, means in ratios.items():
            for kind in ["f32", "bf16", "f16"]:
                cells = [f"{means[f'{kind} {peer}']:.2f}" if f"{kind} {peer}" in means else "-" for peer in ["torch", "onednn", "openblas"]]
                lines.append(f"| {shapes}.txt, {kind} | {' | '.join(cells)} |")
        block.append("\n".join(lines))
    block.append(gains(results))
    write_readme("\n\n".join(block).replace("2 cores", f"{os.cpu_count()} CPUs"))
    print(f"wrote {page}, its pictures and the README's block in {took:.0f} s" + ("" if has_png else "; no renderer for docs/roofline.png"))


if __name__ == "__main__":
    main()
