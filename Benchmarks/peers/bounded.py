"""Processes that a comparison waits for, and how long: no script here waits without a bound.

An Allowance bounds each wait and all of them together. Who takes longer is ended with the processes
it has started, and TookTooLong says so in the words of the tables.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# Importing PyTorch takes seconds, from a slow disk that has not read it yet a minute.
START_SECONDS = 120


class TookTooLong(Exception):
    """A bound was reached; the text is what a table says behind "not measured: "."""


class Allowance:
    """`each` seconds for one wait, and `total` seconds from now on for `whole`, all of them."""

    def __init__(self, each, total, whole="the run"):
        self.each, self.total, self.whole = each, total, whole
        self.end = time.monotonic() + total

    @classmethod
    def of(cls, options):
        """That of a script with the options of add_bounds."""
        return cls(options.limit_seconds, 60 * options.minutes)

    def is_over(self):
        return time.monotonic() >= self.end

    def seconds(self, each=None):
        """How long the next wait may be: `each`, or what is left of the whole."""
        if self.is_over():
            raise TookTooLong(f"{self.whole} took over {self.total:g} s")
        return min(each or self.each, self.end - time.monotonic())

    def too_long(self, who, each=None):
        """The error for `who` after a wait of seconds(each)."""
        if self.is_over():
            return TookTooLong(f"{self.whole} took over {self.total:g} s")
        return TookTooLong(f"{who} took over {each or self.each:g} s")


def end(process):
    """Kills a process that leads a group of its own, and the group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def output_of(command, who, allowance, each=None, **options):
    """What a command prints; none of its processes remains.

    Raises TookTooLong where it does not end in time, CalledProcessError where it fails.
    """
    wait = allowance.seconds(each)
    options = {"stderr": subprocess.PIPE, **options}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, **options
    )
    try:
        output, complaint = process.communicate(timeout=wait)
    except subprocess.TimeoutExpired:
        raise allowance.too_long(who, each) from None
    finally:
        end(process)
        for pipe in [process.stdout, process.stderr]:
            if pipe:
                pipe.close()
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command, output, complaint)
    return output


def take_turns(contestants, rounds, allowance):
    """Runs each contestant (name -> function) once a round.

    Returns the results by name, and by name why there are none. A contestant that takes too long is
    left out from then on and keeps the results that it has.
    """
    results, reasons = {name: [] for name in contestants}, {}
    for _ in range(rounds):
        for name, run in contestants.items():
            if name in reasons:
                continue
            try:
                results[name].append(run())
            except TookTooLong as error:
                reasons[name] = str(error)
    return (
        {name: found for name, found in results.items() if found},
        {name: reason for name, reason in reasons.items() if not results[name]},
    )


def add_bounds(parser, seconds, minutes):
    """The options of Allowance.of, with their defaults."""
    parser.add_argument(
        "--limit-seconds",
        type=float,
        default=seconds,
        help="a measurement that takes longer is ended",
    )
    parser.add_argument(
        "--minutes", type=float, default=minutes, help="after which nothing more is measured"
    )


class Worker:
    """A peer's process with its own thread settings that answers requests, a line of JSON each.

    It starts when it is first needed and says its versions in its first line. One that took too
    long or has died is started again for the next request.
    """

    def __init__(self, way, environment, script="products_worker.py"):
        self.way, self.environment, self.script = way, environment, script
        self.process, self.rest, self.versions = None, b"", {}

    def start(self, allowance):
        if self.process and self.process.poll() is None:
            return
        self.close()
        wait = allowance.seconds(START_SECONDS)
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, self.script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=dict(os.environ, **self.environment),
            start_new_session=True,
        )
        self.versions = self.answer(wait) or self.fail(
            allowance.too_long("peer's start", START_SECONDS)
        )

    def ask(self, allowance, **request):
        """The answer; where it does not come, ends the process and raises TookTooLong."""
        self.start(allowance)
        wait = allowance.seconds()
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        return self.answer(wait) or self.fail(allowance.too_long("peer"))

    def answer(self, wait):
        """The next line, None where it does not come within `wait` seconds."""
        end_of_wait = time.monotonic() + wait
        while b"\n" not in self.rest:
            left = end_of_wait - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            read = os.read(self.process.stdout.fileno(), 65536)
            if not read:
                self.fail(RuntimeError(f"{self.script} ended with status {self.process.wait()}"))
            self.rest += read
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def fail(self, error):
        self.close()
        raise error

    def close(self):
        if self.process:
            end(self.process)
            self.process.stdin.close()
            self.process.stdout.close()
        self.process, self.rest = None, b""
