#!/usr/bin/env python3
"""Runs what README.md, CONTRIBUTING.md and docs/ show: every command as it stands there.

Usage: check.py PROGRAM [PAGE…]     (PROGRAM is the built needletail; make pages)

A page has a folder of its own, with the files of files.py, and its commands run there in their
order: once on a pseudo-terminal, and once more, in a fresh folder, into a pipe. A command is

- in a block without a language or with that of a shell, and in an indented block, each line (or
  lines, where a backslash continues one); where a line begins with `$ `, those lines, and what
  stands below one is its output, which is compared (compare.py says how). A shown ^C is sent.
  Each has a shell of its own, with pipefail.
- a code span in prose, a table or a picture that begins with `needletail`, or with a sub-command
  and has options. What is not whole (`…`, words in capitals, a|b, arguments left out) or cannot
  run here (kernels of another CPU, a download) is parsed: its options must exist.

A command must exit with 0, or with what the page says. "exit code 70" in the paragraph before a
block of sessions is that of the interrupted command, else of the last; "# exit code 70" behind a
command, and "exit code 70" behind one in prose, is its own; "exit code 1 if …" allows 0 too.
Where a command seems to stand anywhere else (another kind of block, a quotation), that is an error.

Only the environment cuts runs short (execute.py); a command whose output is compared runs in
full. `bench` is stopped after 5 s. `swift run … needletail` runs in the checkout, into a pipe
only; of `make` targets `demo` runs, the others must exist, and so must scripts, products,
options, links and anchors.
"""

import contextlib
import io
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time

import compare
import execute
import files
import project
from catalog import PLACEHOLDER, Catalog
from page import Page

ROOT = pathlib.Path(__file__).resolve().parents[2]
HIDING = re.compile(r"\|\|\s*(?:true|:)|;\s*(?:true|:)\s*$|[^&]&\s*$")
VARIABLE = re.compile(r"\bNEEDLETAIL_[A-Z_]*[A-Z]\b")
WAYS = {"on a terminal": True, "into a pipe": False}


class Check:
    """The pages' commands, and what was found wrong with them."""

    def __init__(self, program, catalog):
        self.program, self.catalog = program, catalog
        self.script_options = project.script_options(ROOT) - set(catalog.everywhere)
        self.variables = catalog.variables() | project.variables(ROOT)
        self.failures = []
        self.counts = dict.fromkeys(("ran", "compared", "parsed", "lines checked", "links"), 0)
        self.seconds, self.slowest = {}, []
        self.has_run = (
            set()
        )  # (way, text): a command in prose that was run on a page before is not run again

    def fail(self, page, line, message, command=None, way=None, result=None):
        text = f"{page.name}:{line}: {message}"
        if command:
            text += f"\n    command: {command.text}"
        if way:
            text += f"\n    run:     {way}"
        if result:
            text += f", exit code {result.exit_code}" + "".join(
                f"\n    | {line}" for line in result.lines[-12:]
            )
        self.failures.append((page, text))
        print(text.partition("\n")[0], flush=True)

    # What runs.

    def run(self, page):
        start = time.monotonic()
        for way in WAYS:
            with tempfile.TemporaryDirectory(prefix="pages-") as folder:
                for command in page.commands:
                    if (
                        command.text.split()[0] not in ("make", "python3", "swift")
                        or "needletail" in command.text
                    ):
                        self.run_command(page, command, way, folder)
        self.seconds[page.name] = time.monotonic() - start

    def run_command(self, page, command, way, folder):
        try:
            parsed = self.catalog.parse(command.text)
        except ValueError as error:  # an open quotation, a backslash at the end
            return self.fail(page, command.line, f"cannot be read: {error}", command)
        if HIDING.search(command.text):
            return self.fail(page, command.line, "this hides the exit code", command)
        if self.is_only_parsed(command, parsed):
            if WAYS[way]:
                self.counts["parsed"] += 1
                for problem in parsed.problems:
                    self.fail(page, command.line, problem, command)
            return
        run = (way, command.text.partition("  #")[0].strip())
        if command.is_inline and run in self.has_run:
            return
        self.has_run.add(run)
        files.prepare(command.text, folder, ROOT)
        if parsed.command == "compare":
            files.prepare_measurements(parsed.positional, folder, self.program)
        in_checkout = command.text.startswith("swift")
        if in_checkout and WAYS[way]:
            return  # on a terminal SwiftPM compiles with -color-diagnostics: everything anew
        for name in parsed.inputs():
            if not (ROOT if in_checkout else pathlib.Path(folder)).joinpath(name).exists():
                message = (
                    f"reads '{name}', which no command before it makes "
                    "and Tests/pages/files.py does not know"
                )
                return self.fail(page, command.line, message, command)
        is_bench = parsed.command in ("run", "trainer")
        start = time.monotonic()
        result = execute.run(
            command.text,
            ROOT if in_checkout else folder,
            execute.environment(
                None if in_checkout else self.program, self.limits(command, parsed)
            ),
            WAYS[way],
            columns=160 if command.expected else 80,  # pages show the bar as a wide terminal has it
            stop_after=execute.BENCH_SECONDS if is_bench else None,
            interrupt_when=self.interrupt(command),
        )
        self.counts["ran"] += 1
        self.slowest.append((time.monotonic() - start, f"{page.name}:{command.line}, {way}"))
        codes = command.exit_codes
        if re.search(r"\| *head\b", command.text):
            codes += (128 + signal.SIGPIPE,)  # head has read enough
        if result.exit_code not in codes and not (is_bench and result.was_stopped):
            allowed = " or ".join(map(str, command.exit_codes))
            if command.interrupt_after is not None and result.exit_code == 0:
                allowed += ": did it end before ^C?"
            self.fail(
                page,
                command.line,
                f"exit code {result.exit_code}, expected {allowed}",
                command,
                way,
                result,
            )
        elif command.expected:
            self.counts["compared"] += 1
            count = compare.appeared(command.expected, result.lines)
            if count < len(command.expected):
                line, text = command.expected[count]
                self.fail(page, line, f"not printed: {text}", command, way, result)

    @staticmethod
    def limits(command, parsed):
        """A command whose output is compared runs in full."""
        if command.expected:
            return {}
        is_large = parsed.options.get("--model") in ("cnn", "gpt")
        return execute.LIMITS_OF_LARGE_MODELS if is_large else execute.LIMITS

    @staticmethod
    def interrupt(command):
        """When ^C is to be sent: once the lines above it have appeared."""
        if command.interrupt_after is None:
            return None
        before = command.expected[: command.interrupt_after]
        return lambda lines: compare.appeared(before, lines) == len(before)

    def is_only_parsed(self, command, parsed):
        if not command.is_inline:
            return False
        has_placeholder = any(PLACEHOLDER.search(word) for word in self.catalog.words(command.text))
        downloads = parsed.options.get("--data") == "mnist"
        is_name = command.text == "needletail"
        return (
            is_name
            or has_placeholder
            or downloads
            or not parsed.is_whole
            or bool(parsed.problems)
            or self.catalog.lacks_kernels(parsed.options)
        )

    def run_demo(self):
        """`make demo`, which must say what it learned."""
        start = time.monotonic()
        page = Page(ROOT / "README.md", ROOT)
        demo = next(command for command in page.commands if command.text.startswith("make demo"))
        variables = execute.environment(None, limits={})
        result = execute.run(demo.text, ROOT, variables, on_terminal=False)
        self.counts["ran"] += 1
        if result.exit_code != 0:
            self.fail(page, demo.line, "make demo failed", demo, "into a pipe", result)
        elif not any(line.startswith("test_accuracy 0.8") for line in result.lines):
            self.fail(
                page,
                demo.line,
                "make demo did not reach an accuracy of 0.8",
                demo,
                "into a pipe",
                result,
            )
        self.seconds["make demo"] = time.monotonic() - start

    # What is only looked at.

    def look(self, page, anchors):
        for line, message in page.errors:
            self.fail(page, line, message)
        for command in page.commands:
            if command.text.split()[0] in ("make", "python3", "swift"):
                self.counts["lines checked"] += 1
                for problem in project.problems(command.text, ROOT):
                    self.fail(page, command.line, problem, command)
        for line, span in page.spans:
            if span.startswith("--") and span.split()[0] not in self.script_options:
                self.counts["parsed"] += 1
                for problem in self.catalog.option_problems(span):
                    self.fail(page, line, f"`{span}`: {problem}")
        for line, text in enumerate(page.text.split("\n"), 1):
            for name in VARIABLE.findall(text):
                if name not in self.variables:
                    self.fail(page, line, f"nothing reads {name}")
        for line, target in page.links():
            self.counts["links"] += 1
            problem = project.link_problem(target, page, anchors, ROOT)
            if problem:
                self.fail(page, line, problem)


def all_pages():
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def anchors_of(paths):
    return {path.resolve(): set(Page(path, ROOT).anchors()) for path in paths}


def self_test(program, catalog):
    """The pages in selftest/ must fail as their comments say, `<!-- fails: TEXT -->` for each.

    A page without such a comment must pass.
    """
    folder = ROOT / "Tests/pages/selftest"
    paths = sorted(folder.glob("*.md"))
    for path in paths:
        check, page = Check(program, catalog), Page(path, ROOT)
        with contextlib.redirect_stdout(io.StringIO()):
            check.look(page, anchors_of(paths))
            check.run(page)
        expected = [
            line[len("<!-- fails: ") : -len(" -->")]
            for line in page.text.split("\n")
            if line.startswith("<!-- fails: ")
        ]
        found = [text for _, text in check.failures]
        unseen = [text for text in expected if not any(text in failure for failure in found)]
        unexpected = [failure for failure in found if not any(text in failure for text in expected)]
        if unseen or unexpected:
            sys.exit(
                "\n".join(
                    [
                        f"pages: the self-test {page.name} failed",
                        *(f"  not found: {text}" for text in unseen),
                        *unexpected,
                    ]
                )
            )
    print(f"pages: {len(paths)} self-tests failed and passed as they should")


def main(program, *names):
    start = time.monotonic()
    program = pathlib.Path(program).resolve()
    catalog = Catalog(program)
    self_test(program, catalog)
    paths = [pathlib.Path(name).resolve() for name in names] or all_pages()
    check, anchors = Check(program, catalog), anchors_of(all_pages())
    for path in paths:
        page = Page(path, ROOT)
        check.look(page, anchors)
        check.run(page)
        print(f"pages: {page.name}, {check.seconds[page.name]:.0f} s", flush=True)
    if not names:
        check.run_demo()
    seconds = time.monotonic() - start
    print(
        "pages: slowest: "
        + "; ".join(f"{where} {took:.0f} s" for took, where in sorted(check.slowest)[:-6:-1])
    )
    if check.failures:
        print("\npages: what failed:\n" + "\n".join(text for _, text in check.failures))
    summary = ", ".join(f"{count} {name}" for name, count in check.counts.items())
    print(f"pages: {len(paths)} pages, {summary}; {len(check.failures)} failures, {seconds:.0f} s")
    return 1 if check.failures else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or not shutil.which(sys.argv[1]):
        sys.exit(
            "usage: check.py PROGRAM [PAGE…]: PROGRAM is the built needletail, make pages builds it"
        )
    sys.exit(main(*sys.argv[1:]))
