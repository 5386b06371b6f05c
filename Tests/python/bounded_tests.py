"""Bounds of the comparisons with peers: what is slow is ended and its row says so.

No PyTorch is needed: the peer is a script that sleeps where it is asked to, Needletail one that
prints lines as `bench --json` does.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
import unittest
from contextlib import redirect_stderr
from unittest import mock

PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "Benchmarks", "peers")
sys.path.insert(0, PEERS)
import bounded  # noqa: E402
import compare_bars  # noqa: E402

PEER = """
import json, sys, time
print(json.dumps({"torch": "none", "onednn": "none"}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request.get("type") == "f16": time.sleep(60)
    if request.get("exit"): sys.exit(3)
    print(json.dumps({"seconds": 0.5}), flush=True)
"""

NEEDLETAIL = """#!/usr/bin/env python3
import json, sys, time
arguments = dict(zip(sys.argv[2:], sys.argv[3:]))
if arguments["--shapes"] == "sleep" or sys.argv[2] == "optimizer": time.sleep(60)
for kind in ["float32", "bfloat16", "float16"]:
    print(json.dumps({"types": kind, "median_seconds": 0.25}))
"""


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


class BoundedTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.peer, self.needletail = (
            os.path.join(folder.name, name) for name in ["peer.py", "needletail"]
        )
        for path, text in [(self.peer, PEER), (self.needletail, NEEDLETAIL)]:
            with open(path, "w") as file:
                file.write(text)
            os.chmod(path, 0o755)

    def test_a_slow_command_is_ended_with_what_it_has_started(self):
        began = time.monotonic()
        with tempfile.NamedTemporaryFile("r") as file:
            command = ["sh", "-c", f"sleep 60 & echo $! > {file.name}; wait"]
            with self.assertRaisesRegex(bounded.TookTooLong, "^peer took over 0.3 s$"):
                bounded.output_of(command, "peer", bounded.Allowance(0.3, 60))
            child = int(file.read())
        for _ in range(100):
            if not is_running(child):
                break
            time.sleep(0.01)
        self.assertFalse(is_running(child))
        self.assertLess(time.monotonic() - began, 5)

    def test_output_and_failures_of_commands(self):
        allowance = bounded.Allowance(10, 10)
        self.assertEqual(bounded.output_of(["echo", "a"], "it", allowance), "a\n")
        with self.assertRaises(subprocess.CalledProcessError) as caught:
            bounded.output_of(["sh", "-c", "echo why >&2; exit 4"], "it", allowance)
        self.assertEqual((caught.exception.returncode, caught.exception.stderr), (4, "why\n"))

    def test_the_whole_is_bounded_too(self):
        allowance = bounded.Allowance(60, 0.1, "the stage")
        with self.assertRaisesRegex(bounded.TookTooLong, "^the stage took over 0.1 s$"):
            bounded.output_of(["sleep", "60"], "peer", allowance)
        with self.assertRaisesRegex(bounded.TookTooLong, "^the stage took over 0.1 s$"):
            bounded.output_of(["touch", "/nowhere/never"], "peer", allowance)

    def test_a_slow_worker_is_replaced(self):
        worker = bounded.Worker("1 thread", {}, self.peer)
        self.addCleanup(worker.close)
        self.assertEqual(worker.ask(bounded.Allowance(10, 60), type="f32"), {"seconds": 0.5})
        self.assertEqual(worker.versions["torch"], "none")
        first = worker.process.pid
        with self.assertRaisesRegex(bounded.TookTooLong, "^peer took over 0.2 s$"):
            worker.ask(bounded.Allowance(0.2, 60), type="f16")
        self.assertFalse(is_running(first))
        self.assertEqual(worker.ask(bounded.Allowance(10, 60), type="f32"), {"seconds": 0.5})
        with self.assertRaisesRegex(RuntimeError, "ended with status 3"):
            worker.ask(bounded.Allowance(10, 60), exit=True)
        self.assertEqual(worker.ask(bounded.Allowance(10, 60), type="f32"), {"seconds": 0.5})

    def test_contestants_that_are_slow_are_left_out(self):
        calls = []

        def slow():
            calls.append(1)
            raise bounded.TookTooLong("peer took over 1 s")

        results, reasons = bounded.take_turns(
            {"a": lambda: 1, "b": slow}, 3, bounded.Allowance(1, 1)
        )
        self.assertEqual(
            (results, reasons, len(calls)), ({"a": [1, 1, 1]}, {"b": "peer took over 1 s"}, 1)
        )

    def measurements(self, **changes):
        options = {
            "needletail": self.needletail,
            "rounds": 2,
            "seconds": 0.01,
            "minutes": 1,
            "limit_seconds": 0.2,
            "stage_seconds": 20,
        }
        m = compare_bars.Measurements(argparse.Namespace(**{**options, **changes}), self.peer)
        self.addCleanup(m.close)
        return m

    def rows(self, m):
        table = compare_bars.Table(m)
        table.fill()
        return {row["key"]: row for row in table.rows}, table

    def test_rows_say_what_took_too_long(self):
        m = self.measurements()

        def stage(number):
            for line in m.bench(
                "nll", "64x10", [("nll", 64, 10, kind) for kind in compare_bars.TYPES]
            ):
                m.ours.setdefault(("nll", 64, 10, compare_bars.SHORT[line["types"]]), []).append(
                    line["median_seconds"]
                )
            for kind in compare_bars.TYPES:
                m.ask(("nll", 64, 10, kind), work="cross_entropy", type=kind)
            m.peer_products(compare_bars.NARROW, ["f16"], "1 thread", number)

        ask = mock.patch.object(
            bounded.Worker, "ask", autospec=True, side_effect=bounded.Worker.ask
        )
        with redirect_stderr(io.StringIO()), ask as asked:
            m.stage("losses", stage, 2)
        # What took too long is asked once, in the first of the rounds.
        slow = [call for call in asked.call_args_list if call.kwargs["type"] == "f16"]
        self.assertEqual(len(slow), 2)
        rows, table = self.rows(m)
        self.assertEqual(m.failures, [])
        self.assertEqual(rows["nll-64x10-f16"]["verdict"], "not measured: peer took over 0.2 s")
        self.assertEqual(rows["nll-64x10-f16"]["needletail"], "250 ms")
        self.assertIn("| not measured: peer took over 0.2 s |", "\n".join(table.lines))
        self.assertEqual(
            (rows["nll-64x10-f32"]["ratio"], rows["nll-64x10-f32"]["verdict"]), ("2.00", "short")
        )
        # The smallest product took too long: larger ones are not tried.
        reasons = [m.reasons["peer", (shape, "f16", "1 thread")] for shape in compare_bars.NARROW]
        self.assertTrue(
            all(reason.startswith("peer took over 0.2 s") for reason in reasons), reasons
        )

    def test_needletail_has_a_bound_too_and_a_stage_ends(self):
        m = self.measurements(stage_seconds=0.6, limit_seconds=60)

        def stage(number):
            m.bench("optimizer", "136074", [("adamw", 136_074)])
            m.ask(("head", "f16"), type="f16")
            m.ask(("head", "bf16"), type="bf16")

        began = time.monotonic()
        with redirect_stderr(io.StringIO()):
            m.stage("updates", stage, 2)
        self.assertLess(time.monotonic() - began, 5)
        rows, _ = self.rows(m)
        self.assertEqual(rows["adamw-small"]["verdict"], "not measured: Needletail took over 0.3 s")
        for kind in ["f16", "bf16"]:
            self.assertEqual(
                rows[f"head-{kind}"]["verdict"], "not measured: the stage took over 0.6 s"
            )

    def test_products_that_are_missing_are_counted(self):
        m = self.measurements()
        one, other = compare_bars.NARROW[:2]
        for shape in [one, other]:
            m.ours[shape, "bf16", 1] = [1.0]
        m.theirs[one, "bf16", "1 thread"] = [5.0]
        m.reasons["peer", (other, "bf16", "1 thread")] = "peer took over 60 s"
        row = self.rows(m)[0]["narrow-bf16"]
        self.assertEqual(
            (row["ratio"], row["verdict"]),
            ("5.00; 1 of 5 not measured: peer took over 60 s", "pass"),
        )
        self.assertIn(
            {"shape": compare_bars.text_of(other), "not_measured": "peer took over 60 s"},
            row["shapes"],
        )

    def test_what_bounds_a_row_is_said_on_the_cpu_it_was_found_on(self):
        m = self.measurements()
        m.ours["adamw", 136_074] = m.theirs["adamw", 136_074] = [1.0]
        for kind, expected in [
            ("AuthenticAMD family 26 model 2", "the update alone"),
            ("AuthenticAMD family 25 model 1", "not explained"),
        ]:
            with mock.patch.object(compare_bars, "cpu_kind", lambda kind=kind: kind):
                text = self.rows(m)[1].explanations()
            self.assertIn(expected, text)
            self.assertEqual("GB/s" in text, "family 26" in kind)


if __name__ == "__main__":
    unittest.main()
