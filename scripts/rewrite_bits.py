#!/usr/bin/env python3
"""Brings the table of checkpoints' checksums up to date with this machine (`make bits`).

    scripts/rewrite_bits.py TABLE LOG

LOG is the output of ReproducibleBitsTests with NEEDLETAIL_PRINT_BITS=1, which has a line "BITS
model row variant precision sums" for each run. Runs of this machine get these sums. Runs that it
cannot do (their kernels have no line in LOG) keep theirs, unless the bits of the same model and
precision changed here: those are marked "to be recorded", which the test accepts until a machine
that has the kernels fills them in. Comment lines stay. A log without lines, or without a run that
the table has and this machine could do, is an error and changes nothing; with --drop such runs
leave the table.
"""

import argparse
import os
import sys

MARK = "to be recorded"


def runs_of(lines):
    """(model, row, variant, precision) -> sums, in the order of the lines."""
    runs = {}
    for line in lines:
        words = line.split()
        if len(words) < 5:
            raise ValueError(
                f"found '{line.strip()}', expected model, row, variant, precision and sums"
            )
        runs[tuple(words[:4])] = " ".join(words[4:])
    return runs


def kernels(run):
    _, row, variant, precision = run
    return row, variant, precision


def case(run):
    model, _, _, precision = run
    return model, precision


def merged(old, new):
    """`old` with the sums of `new` and marks where another machine must record.

    A run that `old` lacks stands behind its predecessor in `new`.
    """
    changed = {case(run) for run in new if old.get(run, MARK) not in (MARK, new[run])}
    order, position = list(old), 0
    for run in new:
        if run not in old:
            order.insert(position, run)
        position = order.index(run) + 1
    # A new case has runs on the kernels that other cases have, too.
    here = {kernels(run) for run in new}
    elsewhere = dict.fromkeys(kernels(run) for run in old if kernels(run) not in here)
    known = {case(run) for run in old}
    for model, precision in dict.fromkeys(case(run) for run in new if case(run) not in known):
        order += [(model, *place) for place in elsewhere if place[2] == precision]
    return {
        run: new.get(run, MARK if case(run) in changed else old.get(run, MARK)) for run in order
    }


def missing_runs(old, new):
    """Runs of the table that the log should have.

    Their row and variant are on this machine, or their model and precision nowhere in the log.
    """
    here, cases = {run[1:3] for run in new}, {case(run) for run in new}
    return [run for run in old if run not in new and (run[1:3] in here or case(run) not in cases)]


def rewritten(table, log, drop=False):
    """The table's text with the log's sums."""
    lines = table.splitlines()
    old = runs_of(line for line in lines if line.strip() and not line.startswith("#"))
    new = runs_of(line[5:] for line in log.splitlines() if line.startswith("BITS "))
    if not new:
        raise ValueError("the log has no BITS lines: the test did not run")
    missing = missing_runs(old, new)
    if missing and not drop:
        names = ", ".join(" ".join(run) for run in missing)
        raise ValueError(f"the log lacks runs of the table ({names}); --drop removes them")
    runs = merged({run: sums for run, sums in old.items() if run not in missing}, new)
    comments = [line for line in lines if line.startswith("#")]
    return "\n".join(comments + [" ".join([*run, sums]) for run, sums in runs.items()]) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", help="the table that is rewritten")
    parser.add_argument("log", help="what ReproducibleBitsTests printed")
    parser.add_argument(
        "--drop", action="store_true", help="remove runs that the log should have and lacks"
    )
    options = parser.parse_args()
    try:
        with open(options.table) as file:
            table = file.read()
        with open(options.log, errors="replace") as file:
            log = file.read()
        text = rewritten(table, log, options.drop)
    except (OSError, ValueError) as error:
        sys.exit(f"rewrite_bits: {error}; {options.table} stays as it is")
    partial = options.table + ".partial"
    with open(partial, "w") as file:
        file.write(text)
    os.replace(partial, options.table)
    waiting = text.count(MARK)
    print(
        f"{options.table}: "
        + ("as it was" if text == table else "rewritten")
        + (f", {waiting} {MARK}" if waiting else "")
    )


if __name__ == "__main__":
    main()
