"""The project's bars for kernels: every one beside PyTorch (or the machine's limit) in one run, interleaved: ours, theirs, ratio, bar.

Run from the repository's root after `swift build -c release --product needletail`, on a machine that does nothing else; seven
minutes, and no further round begins after `--minutes`. Medians over the rounds. Where a bar covers several shapes, the geometric
mean and the worst shape are shown, all of them in the file of `--json`. A measurement that fails leaves its rows unmeasured and is
named below the table. One sentence for each row that falls short comes from bars_notes.json, on the kind of CPU that it was found
on. Training loops, start-up and the trainer's own cost are compare_mlp.py's.

Nothing is waited for without a bound: a peer's measurement that takes over `--limit-seconds` is ended, not tried again, and its row
says "not measured: peer took over 60 s"; so is one of Needletail after half of its stage. A stage, of which there are seven, ends
after `--stage-seconds`, so that the whole ends within 7 x 420 s = 49 minutes on any CPU; without AVX-512, where PyTorch's 16-bit
products take up to minutes each, it comes near that.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from bounded import START_SECONDS, Allowance, TookTooLong, Worker, output_of
from compare_products import TYPES, read_shapes
from machine import cpu_kind, cpu_name, settings

HERE = os.path.dirname(os.path.abspath(__file__))
SHORT = {long: short for short, long in TYPES.items()}

SQUARES = [((n, n, n), "NN") for n in (256, 512, 1024, 2048)]
GPT2 = [
    (sizes, layout)
    for sizes, layout, _ in read_shapes(os.path.join(HERE, "..", "Shapes", "gpt2.txt"))
    if sizes[0] > 1 and 2 * sizes[0] * sizes[1] * sizes[2] < 2e10
]
LARGE = SQUARES + GPT2
MLP = []
for batch in (64, 128, 512):
    MLP += [((batch, 128, 784), "NT"), ((batch, 256, 128), "NT"), ((batch, 128, 256), "NN"), ((batch, 784, 128), "NN")]
    MLP += [((128, 784, batch), "TN"), ((256, 128, batch), "TN")]
NARROW = [((64, 10, 256), "NT"), ((512, 10, 256), "NT"), ((10, 256, 64), "TN"), ((10, 256, 512), "TN"), ((64, 64, 64), "NN")]
SKINNY = [((m, 4096, 4096), "NT") for m in (1, 2, 4, 8, 16)]
# Without AVX512_FP16 PyTorch multiplies float16 matrices at 2 to 50 GFLOP/s: larger products have one turn in the first round.
LARGEST_F16 = 6e8
HEAD = {"rows": 4096, "inputs": 768, "classes": 50257}
# So many rows of the head are given to PyTorch's float16, for the same reason; its time is proportional to them.
F16_ROWS = 32


def text_of(shape):
    sizes, layout = shape
    return "x".join(map(str, sizes)) + "/" + layout


def operations(shape):
    m, n, k = shape[0]
    return 2 * m * n * k


def seconds(value):
    for factor, unit in [(1e6, "us"), (1e3, "ms")]:
        if value * factor < 1000:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s"


class Measurements:
    """Needletail's and the peers' figures by key, one list entry a round."""

    def __init__(self, options, script="bars_worker.py"):
        self.options = options
        self.ours, self.theirs, self.openblas, self.share = {}, {}, {}, {}
        # Why a side ("needletail" or "peer") has no figure for a key, where it took too long.
        self.reasons = {}
        # (type, way) -> the peer's smallest product that took too long, and why.
        self.beyond = {}
        self.failures = []
        self.end = time.monotonic() + 60 * options.minutes
        self.workers = {way: Worker(way, environment, script) for way, environment in settings().items()}
        self.workers["1 thread"].start(Allowance(START_SECONDS, START_SECONDS))
        self.versions = self.workers["1 thread"].versions

    def bench(self, family, shapes, keys, threads=1, rounds=11, minimum=None, types="f32,bf16,f16", only=None):
        """One run of `needletail bench`; its lines, none where it takes too long for the figures of `keys`."""
        command = [self.options.needletail, "bench", family, "--json", "--threads", str(threads), "--types", types]
        command += ["--rounds", str(rounds), "--min-time", str(minimum or self.options.seconds), "--shapes", shapes]
        command += ["--only", only] if only else []
        try:
            output = output_of(command, "Needletail", self.allowance, each=self.options.stage_seconds / 2)
        except TookTooLong as error:
            self.reasons.update({("needletail", key): str(error) for key in keys})
            return []
        return [json.loads(line) for line in output.splitlines()]

    def stage(self, name, measure, rounds=1):
        """`rounds` rounds of measure(round), fewer where time is short; what fails is told and left out."""
        self.allowance = Allowance(self.options.limit_seconds, self.options.stage_seconds, "the stage")
        for number in range(rounds):
            if number > 0 and (time.monotonic() > self.end or self.allowance.is_over()):
                print(f"{name}: {number} of {rounds} rounds, time is up", file=sys.stderr, flush=True)
                return
            began = time.monotonic()
            try:
                measure(number)
            except Exception as error:
                output = getattr(error, "stderr", None) or ""
                self.failures.append(f"{name}, round {number + 1}: {error} {output.strip()}".replace("\n", " "))
            print(f"{name}, round {number + 1}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    def products(self, shapes, threads):
        """Threads: such as "1,2", by turns."""
        keys = [(s, kind, int(n)) for s in shapes for kind in TYPES for n in threads.split(",")]
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("\n".join(text_of(shape) for shape in shapes) + "\n")
            file.flush()
            for line in self.bench("gemm", file.name, keys, threads):
                shape = ((line["m"], line["n"], line["k"]), line["layout"])
                key = (shape, SHORT[line["types"]], line["threads"])
                self.ours.setdefault(key, []).append(line["median_seconds"])
                self.share.setdefault(key, []).append(line["share_of_peak"])
                self.openblas.setdefault((shape, "f32", line["threads"]), []).append(line["baseline_seconds"])

    def ask(self, key, way="1 thread", **request):
        """One measurement of the peer; what took too long is not tried again. False where it did so now."""
        if ("peer", key) in self.reasons:
            return True
        request = {"seconds": self.options.seconds, **request}
        try:
            answer = self.workers[way].ask(self.allowance, **request)
        except TookTooLong as error:
            self.reasons["peer", key] = str(error)
            return False
        if "seconds" in answer:
            self.theirs.setdefault(key, []).append(answer["seconds"])
        return True

    def peer_products(self, shapes, types, way, number):
        for sizes, layout in shapes:
            for kind in types:
                slow = kind == "f16" and operations((sizes, layout)) > LARGEST_F16
                if slow and number > 0:
                    continue
                turns = {"turns": 1, "seconds": 0.001} if slow else {}
                shape, key = (sizes, layout), ((sizes, layout), kind, way)
                least, reason = self.beyond.get((kind, way), (None, None))
                if least and operations(shape) >= operations(least):
                    self.reasons.setdefault(("peer", key), f"{reason} at {text_of(least)}")
                elif not self.ask(key, way, shape=sizes, layout=layout, contestant="torch", type=kind, **turns):
                    if not self.allowance.is_over():
                        self.beyond[kind, way] = shape, self.reasons["peer", key]

    def close(self):
        for worker in self.workers.values():
            worker.close()


def measure(m):
    """All stages, each of some rounds."""
    options = m.options
    several = len(m.workers) > 1
    rounds = options.rounds

    def small(number):
        m.products(MLP + NARROW, "1")
        m.peer_products(MLP + NARROW, TYPES, "1 thread", number)

    def large(number):
        m.products(LARGE, "1,2" if several else "1")
        m.peer_products(LARGE, TYPES, "1 thread", number)
        for way in list(m.workers)[1:]:
            m.peer_products(LARGE, ["bf16"], way, number)

    def skinny(number):  # apart, so that the bandwidth of reading is measured just before
        m.products(SKINNY, "1")
        m.peer_products(SKINNY, TYPES, "1 thread", number)

    def losses(number):
        for rows, classes in [(64, 10), (512, 10), (1024, 1000), (1024, 50257)]:
            few = classes < 50000
            keys = [("nll", rows, classes, kind) for kind in TYPES]
            for line in m.bench("nll", f"{rows}x{classes}", keys, rounds=11 if few else 3):
                m.ours.setdefault(("nll", rows, classes, SHORT[line["types"]]), []).append(line["median_seconds"])
            for kind in TYPES:
                key = ("nll", rows, classes, kind)
                m.ask(key, work="cross_entropy", rows=rows, classes=classes, type=kind, turns=5 if few else 2)

    def passes(number):
        for line in m.bench("convert", str(16 << 20), [("convert",)], types="bf16,f16"):
            m.ours.setdefault(("convert", line["types"]), []).append(line["median_seconds"])
            m.theirs.setdefault(("convert", line["types"]), []).append(line["baseline_seconds"])
        for count in [136_074, 124_439_808]:
            many = count > 1e6
            keys = [("adamw", count)]
            for line in m.bench("optimizer", str(count), keys, rounds=3 if many else 11, types="bf16", only="adamw"):
                m.ours.setdefault(("adamw", count), []).append(line["median_seconds"])
            m.ask(("adamw", count), work="adamw", count=count, turns=3 if many else 5)

    def head(number):
        shape = f"{HEAD['rows']}x{HEAD['classes']}x{HEAD['inputs']}"
        for kind in ["bf16", "f16"]:
            repeats = 3 if kind == "bf16" else 1
            for line in m.bench("linear-nll", shape, [("head", kind)], rounds=repeats, types=kind, minimum=0.001):
                m.ours.setdefault(("head", kind), []).append(line["median_seconds"])
        m.ask(("head", "bf16"), work="linear_cross_entropy", type="bf16", turns=2, **HEAD)
        m.ask(("head", "f16"), work="linear_cross_entropy", type="f16", turns=1, **dict(HEAD, rows=F16_ROWS))
        if ("head", "f16") in m.theirs:
            m.theirs["head", "f16"] = [t * HEAD["rows"] / F16_ROWS for t in m.theirs["head", "f16"]]

    m.stage("products, small", small, rounds)
    m.stage("products, few rows", skinny, rounds)
    m.stage("cross-entropy", losses, rounds)
    m.stage("conversions and updates", passes, rounds)
    m.stage("linear + cross-entropy", head)
    if several:
        m.stage("two threads disturbed", lambda number: disturbed(m), rounds)
    m.stage("products, large", large, rounds)


def disturbed(m):
    """Two threads' products beside a process that holds one CPU, and without it, by turns."""
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    for busy in [False, True]:
        process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
        if process and cpus:
            os.sched_setaffinity(process.pid, {cpus[-1]})
        try:
            lines = m.bench("gemm", "512x512x512", [("busy", busy)], threads=2, types="f32", minimum=0.3)
        finally:
            if process:
                process.kill()
                process.wait()
        for line in lines:
            m.ours.setdefault(("busy", busy), []).append(line["median_seconds"])


class Table:
    def __init__(self, m):
        self.m = m
        with open(os.path.join(HERE, "bars_notes.json")) as file:
            self.notes = json.load(file).get(cpu_kind())
        self.lines, self.short, self.rows = [], [], []

    def add(self, key, work, ours, theirs, ratio, bar, ok, shapes=None, reason=None):
        """`ratio`: text; `ok`: None where there was nothing to compare with, for this `reason`; `shapes`: what the row is made of."""
        unmeasured = f"not measured: {reason}" if reason else "not measured"
        verdict = unmeasured if ok is None else "pass" if ok else "short"
        self.lines.append(f"| {work} | {ours} | {theirs} | {ratio} | {bar} | {verdict} |")
        row = {"key": key, "work": work, "needletail": ours, "peer": theirs, "ratio": ratio, "bar": bar, "verdict": verdict}
        self.rows.append(dict(row, shapes=shapes or []))
        if ok is False:
            note = (self.notes or {}).get(key, "what bounds it has not been looked at")
            self.short.append(f"- {work}: {note}.")

    def explanations(self):
        """What bounds the rows that fall short, as far as it was found on this kind of CPU."""
        if not self.short:
            return ""
        if self.notes is None:
            return f"What bounds the rows that fall short is not explained for this CPU ({cpu_kind()})."
        return "What bounds the rows that fall short:\n\n" + "\n".join(self.short)

    def reason(self, *keys):
        """Why there is no figure for these keys, of Needletail or its peer; None where nothing took too long."""
        reasons = [self.m.reasons.get((side, key)) for side in ["needletail", "peer"] for key in keys]
        return next((reason for reason in reasons if reason), None)

    def middle(self, values, key):
        return statistics.median(values[key]) if key in values else None

    def ratios(self, shapes, kind, threads=1, peers=None):
        """Peer's time over ours by shape, and by shape why there is none; `peers`: functions from a shape to a time, the best of
        which counts."""
        peers = peers or [lambda shape: self.middle(self.m.theirs, (shape, kind, "1 thread"))]
        result, reasons = {}, {}
        for shape in shapes:
            times = [time for time in (peer(shape) for peer in peers) if time is not None]
            ours = self.middle(self.m.ours, (shape, kind, threads))
            if times and ours is not None:
                result[shape] = min(times) / ours
            else:
                ways = [threads] if ours is None else self.m.workers
                reasons[shape] = self.reason(*[(shape, kind, way) for way in ways])
        return result, reasons

    def products(self, key, work, found, bar, mean_bar, least_bar, kind, threads=1):
        ratios, reasons = found
        reason = next((text for text in reasons.values() if text), None)
        missing = [{"shape": text_of(shape), "not_measured": text} for shape, text in reasons.items() if text]
        if not ratios:
            self.add(key, work, "-", "-", "-", bar, None, missing, reason)
            return
        mean, worst = statistics.geometric_mean(ratios.values()), min(ratios, key=ratios.get)

        def rate(shape, time):
            return operations(shape) / time / 1e9

        def ours(shape):
            return self.middle(self.m.ours, (shape, kind, threads))

        shapes = [
            {"shape": text_of(shape), "ratio": ratio, "gflops": rate(shape, ours(shape)), "peer_gflops": rate(shape, ours(shape) * ratio)}
            for shape, ratio in ratios.items()
        ]
        self.add(
            key, work, f"{rate(worst, ours(worst)):.0f} GF/s", f"{rate(worst, ours(worst) * ratios[worst]):.0f} GF/s",
            (f"{mean:.2f}, least {ratios[worst]:.2f} at {text_of(worst)}" if len(ratios) > 1 else f"{mean:.2f}")
            + (f"; {len(missing)} of {len(ratios) + len(reasons)} not measured: {reason}" if missing else ""),
            bar, mean >= mean_bar and ratios[worst] >= least_bar, shapes + missing,
        )

    def times(self, key, work, place, bar_text, bar):
        ours, theirs = self.middle(self.m.ours, place), self.middle(self.m.theirs, place)
        if ours is None or theirs is None:
            ours, theirs = (seconds(time) if time else "-" for time in (ours, theirs))
            self.add(key, work, ours, theirs, "-", bar_text, None, reason=self.reason(place))
        else:
            self.add(key, work, seconds(ours), seconds(theirs), f"{theirs / ours:.2f}", bar_text, theirs / ours >= bar)

    def share(self, key, work, shapes, kind, bar):
        shares = {shape: self.middle(self.m.share, (shape, kind, 1)) for shape in shapes if (shape, kind, 1) in self.m.share}
        text = f">= {100 * bar:.0f}%"
        if not shares:
            reason = self.reason(*[(shape, kind, 1) for shape in shapes])
            self.add(key, work, "-", "-", "-", text, None, reason=reason)
            return
        worst = min(shares, key=shares.get)
        least = f"least at {text_of(worst)}" if len(shares) > 1 else "-"
        self.add(key, work, f"{100 * shares[worst]:.0f}%", "limit of the run", least, text, shares[worst] >= bar)

    def fill(self):
        m = self.m
        self.products("gemm-bf16", "products bf16, 256^3 to 2048^3 and GPT-2", self.ratios(LARGE, "bf16"), ">= 1.8, none under 1.7", 1.8, 1.7, "bf16")
        self.share("gemm-bf16-peak", "products bf16, 256^3 to 1024^3, of the float32 FMA peak", SQUARES[:3], "bf16", 0.9)
        self.products("gemm-f16", "products f16, the same shapes", self.ratios(LARGE, "f16"), ">= 1.0, none under 0.97", 1.0, 0.97, "f16")
        self.products("gemm-f32", "products f32, 256^3 to 2048^3, GPT-2 and MLP", self.ratios(LARGE + MLP, "f32"), ">= 0.97, none under 0.93", 0.97, 0.93, "f32")
        self.products("mlp-bf16", "MLP products bf16, batch 64, 128, 512", self.ratios(MLP, "bf16"), ">= 1.9, none behind", 1.9, 1, "bf16")
        self.products("mlp-f16", "MLP products f16", self.ratios(MLP, "f16"), ">= 1.1, none behind", 1.1, 1, "f16")
        self.products("narrow-bf16", "10 columns or rows, 64^3, bf16", self.ratios(NARROW, "bf16"), ">= 4", 0, 4, "bf16")
        best = [
            lambda shape: self.middle(m.theirs, (shape, "f32", "1 thread")),
            lambda shape: self.middle(m.openblas, (shape, "f32", 1)),
        ]
        self.products("narrow-f32", "10 columns or rows, 64^3, f32, over the best of PyTorch and OpenBLAS", self.ratios(NARROW, "f32", peers=best), ">= 0.95", 0, 0.95, "f32")
        own = self.ratios(LARGE, "bf16", 2, [lambda shape: self.middle(m.ours, (shape, "bf16", 1))])
        self.products("threads-own", "2 threads bf16 over 1, from 256^3", own, ">= 1.9", 0, 1.9, "bf16", 2)
        ways = [lambda shape, way=way: self.middle(m.theirs, (shape, "bf16", way)) for way in m.workers]
        self.products("threads-peer", "2 threads bf16 over PyTorch's best", self.ratios(LARGE, "bf16", 2, ways), ">= 1.75", 0, 1.75, "bf16", 2)
        one, few, sixteen = SKINNY[:1], SKINNY[1:-1], SKINNY[-1:]
        for kind in ["bf16", "f16"]:
            self.products(f"gemv-{kind}", f"1 row by 4096 x 4096, {kind}", self.ratios(one, kind), ">= 2", 0, 2, kind)
            self.share(f"gemv-{kind}-bandwidth", f"1 row by 4096 x 4096, {kind}, of the bandwidth of reading", one, kind, 0.95)
            self.products(f"skinny-{kind}", f"2, 4, 8 rows, {kind}", self.ratios(few, kind), ">= 2", 0, 2, kind)
            self.products(f"rows16-{kind}", f"16 rows, {kind}", self.ratios(sixteen, kind), ">= 1.5", 0, 1.5, kind)
        for rows, classes, bar in [(64, 10, 12), (512, 10, 12), (1024, 1000, 4), (1024, 50257, 5)]:
            for kind in TYPES:
                self.times(f"nll-{rows}x{classes}-{kind}", f"cross-entropy forward + backward {rows} x {classes}, {kind}", ("nll", rows, classes, kind), f">= {bar}", bar)
        head = "linear + cross-entropy, N 4096, D 768, V 50257"
        self.times("head-bf16", head + ", bf16", ("head", "bf16"), ">= 2", 2)
        self.times("head-f16", f"{head}, f16 (PyTorch: {F16_ROWS} rows, times {HEAD['rows'] // F16_ROWS})", ("head", "f16"), ">= 1.4", 1.4)
        self.times("adamw-small", "check + unscale + clip + AdamW + bf16 copy, 136,074 (PyTorch: no copy)", ("adamw", 136_074), ">= 4", 4)
        self.times("adamw-large", "check + unscale + clip + AdamW + bf16 copy, 124,439,808 (PyTorch: no copy)", ("adamw", 124_439_808), ">= 1.4", 1.4)
        for pair in [key[1] for key in m.ours if key[0] == "convert"]:
            self.times("convert", f"conversion of 16 Mi elements, {pair}, over a copy past the caches of as many bytes", ("convert", pair), ">= 0.9", 0.9)
        if self.reason(("convert",)):
            self.add("convert", "conversions of 16 Mi elements", "-", "-", "-", ">= 0.9", None, reason=self.reason(("convert",)))
        busy = "2 threads, 512^3 f32, one core taken by another process"
        if ("busy", True) in m.ours and ("busy", False) in m.ours:
            without, beside = self.middle(m.ours, ("busy", False)), self.middle(m.ours, ("busy", True))
            self.add("busy", busy, seconds(beside), f"{seconds(without)} undisturbed", f"{without / beside:.2f}", ">= 0.45", without / beside >= 0.45)
        elif reason := self.reason(("busy", True), ("busy", False)):
            self.add("busy", busy, "-", "-", "-", ">= 0.45", None, reason=reason)

    def dot_product_shares(self):
        """What bounds bf16 products: both contestants' shares of twice the float32 peak, the rate of VDPBF16PS where it is issued as often as FMA."""
        shares = []
        for shape in LARGE + MLP:
            key = (shape, "bf16", 1)
            ours, theirs, share = self.middle(self.m.ours, key), self.middle(self.m.theirs, (shape, "bf16", "1 thread")), self.middle(self.m.share, key)
            if ours and theirs and share and shape[0][0] > 16:
                shares.append((shape, share / 2, share / 2 * ours / theirs))
        if not shares or max(own for _, own, _ in shares) < 0.6:  # no such instruction here, or half as fast
            return ""
        lines = ["bf16 products, shares of twice the float32 peak, the rate of VDPBF16PS here:", "", "| product | Needletail | PyTorch |", "|---|---|---|"]
        lines += [f"| {text_of(shape)} | {100 * own:.0f}% | {100 * peer:.0f}% |" for shape, own, peer in shares]
        means = [100 * statistics.geometric_mean(column) for column in list(zip(*shares))[1:]]
        return "\n".join(lines + [f"| geometric mean | {means[0]:.0f}% | {means[1]:.0f}% |"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--needletail", default=".build/release/needletail")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.03, help="of each contestant a round")
    parser.add_argument("--minutes", type=float, default=8, help="after which no further round begins")
    parser.add_argument("--limit-seconds", type=float, default=60, help="a peer's measurement that takes longer is ended")
    parser.add_argument("--stage-seconds", type=float, default=420, help="for each of the seven stages, all rounds together")
    parser.add_argument("--json", help="also write the rows, and the shapes that they are made of, to this file")
    options = parser.parse_args()
    options.needletail = os.path.abspath(options.needletail)
    m = Measurements(options)
    try:
        measure(m)
    finally:
        m.close()
    table = Table(m)
    table.fill()
    print(
        f"{cpu_name()}; PyTorch {m.versions['torch']}, oneDNN {m.versions['onednn']}; 1 thread unless said; ratios of times, above 1 Needletail is "
        f"faster; medians of up to {options.rounds} interleaved rounds. Where a row covers several shapes: rates of the worst one, and the geometric "
        "mean of the ratios. PyTorch's float16 products above 0.6 GFLOP, which take seconds without AVX512_FP16, one turn. Cross-entropy and updates: kernels with "
        "their results' memory, PyTorch's through autograd and optimizer. Training loops, start-up, memory: the table of the training loops.\n"
    )
    print("| work | Needletail | peer | ratio | bar | |\n|---|---|---|---|---|---|")
    print("\n".join(table.lines))
    if explanations := table.explanations():
        print("\n" + explanations)
    shares = table.dot_product_shares()
    if shares:
        print("\n" + shares)
    if m.failures:
        print("\nMeasurements that failed:\n\n" + "\n".join("- " + failure for failure in m.failures))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"rows": table.rows, "failures": m.failures}, file, indent=1)


if __name__ == "__main__":
    main()
