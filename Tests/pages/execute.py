"""Runs a command of a page as it stands, on a pseudo-terminal or into a pipe."""

import dataclasses
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

# Every option has an environment variable (docs/trainer.md), and these alone cut runs short: a flag
# would make it another command than that of the page. Ten epochs have more steps than the pages'
# longest warm-up, 200.
LIMITS = {
    "NEEDLETAIL_LIMIT_TRAIN_BATCHES": "25",
    "NEEDLETAIL_LIMIT_VAL_BATCHES": "1",
    "NEEDLETAIL_LIMIT_TEST_BATCHES": "1",
    "NEEDLETAIL_COUNT": "50",
}
LIMITS_OF_LARGE_MODELS = {**LIMITS, "NEEDLETAIL_LIMIT_TRAIN_BATCHES": "1"}
# A bench is stopped after so many seconds; anything else that takes longer than the limit hangs.
BENCH_SECONDS = 5
HANG_SECONDS = 300

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>78]")


@dataclasses.dataclass
class Result:
    exit_code: int
    lines: list
    was_stopped: bool = False


def environment(program, limits):
    """The caller's, without settings of the command but `limits`, with the program on the PATH.

    `program` is None for what builds it: with another PATH SwiftPM builds everything anew, so it
    gets the one that .ci/pages had (a python3 that is pyenv's changes it).
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("NEEDLETAIL_")}
    if program:
        own["PATH"] = str(program.parent) + os.pathsep + own["PATH"]
        # A crash shows its message, and does not ask on the terminal what to do.
        own["SWIFT_BACKTRACE"] = "enable=no"
    else:
        own["PATH"] = os.environ.get("PAGES_PATH", own["PATH"])
    own["TERM"] = "xterm"
    return {**own, **limits}


def run(text, folder, variables, on_terminal, columns=80, stop_after=None, interrupt_when=None):
    """The exit code (128 + number where a signal ended it) and the lines that were printed.

    `interrupt_when(lines)` says when ^C is sent: the character on a terminal, else the signal to
    the process group.
    """
    reader, writer = os.openpty() if on_terminal else os.pipe()
    if on_terminal:
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def take_terminal():
        # What runs in the background of a script ignores these, and so would its children.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        if on_terminal:
            fcntl.ioctl(writer, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        ["bash", "-o", "pipefail", "-c", text],
        cwd=folder,
        env=variables,
        stdin=writer if on_terminal else subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
        preexec_fn=take_terminal,
    )
    os.close(writer)
    start, printed, was_stopped, has_hung = time.monotonic(), b"", False, False
    while True:
        if select.select([reader], [], [], 0.1)[0]:
            try:
                piece = os.read(reader, 65536)
            except OSError:  # a terminal whose last process has gone
                piece = b""
            if not piece:
                break
            printed += piece
        if interrupt_when and interrupt_when(lines_of(printed)):
            interrupt_when = None
            if on_terminal:
                os.write(reader, b"\x03")
            else:
                os.killpg(process.pid, signal.SIGINT)
        seconds = time.monotonic() - start
        if stop_after and seconds > stop_after and not was_stopped:
            was_stopped = True
            os.killpg(process.pid, signal.SIGTERM)
        if seconds > HANG_SECONDS:
            has_hung = True
            os.killpg(process.pid, signal.SIGKILL)
            break
    os.close(reader)
    code = process.wait()
    lines = lines_of(printed)
    if has_hung:
        lines.append(f"[killed: it still ran after {HANG_SECONDS} s]")
    return Result(128 - code if code < 0 else code, lines, was_stopped)


def lines_of(printed):
    """What was printed as lines, those that were drawn over too, without escape sequences."""
    text = ANSI.sub("", printed.decode("utf-8", "replace"))
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()]
