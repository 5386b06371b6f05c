"""Compares the output that a page shows with what was printed.

The lines of the page must be printed, in their order; others may stand between them. A line in
brackets, such as `[the weights summary]`, stands for any. Words and integers must be equal. What is
measured is not compared.
"""

import re

# No function of the input: rates, times, when a signal arrived, and the bar, which is as wide as
# the terminal.
MEASURED = [
    (re.compile(r"\[\d+:\d+ < \d+:\d+, [\d.]+ it/s\]"), "[measured]"),
    (re.compile(r"\|█[█ ]*\|"), "[bar]"),
    (re.compile(r"^samples_per_second .*"), "samples_per_second measured"),
    (re.compile(r"(ended by SIG\w+ after) \d+ applied steps"), r"\1 measured"),
]
NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")

# Numbers with a decimal point are losses, accuracies and probabilities. CPUs with the same kernels
# print the page's to the last digit; another instruction set rounds otherwise, and from the first
# different bit on training is that of another seed. PyTorch's accuracy deviates by 0.006 over seeds
# (README, "The six modes"): allowed are three deviations.
TOLERANCE = 3 * 0.006


def normalized(line):
    for pattern, replacement in MEASURED:
        line = pattern.sub(replacement, line)
    return line.split()


def agrees(expected, printed):
    """Whether two lines are the same."""
    expected, printed = normalized(expected), normalized(printed)
    return len(expected) == len(printed) and all(map(word_agrees, expected, printed))


def word_agrees(expected, printed):
    if expected == printed:
        return True
    if not (NUMBER.fullmatch(expected) and NUMBER.fullmatch(printed)):
        return False
    return abs(float(expected) - float(printed)) <= TOLERANCE


def appeared(expected, lines):
    """How many of the expected lines, (line number, text), stand in `lines` in their order."""
    count = 0
    expected = [text for _, text in expected]
    for line in lines:
        while count < len(expected) and is_any(expected[count]):
            count += 1
        if count < len(expected) and agrees(expected[count], line):
            count += 1
    while count < len(expected) and is_any(expected[count]):
        count += 1
    return count


def is_any(text):
    return re.fullmatch(r"\s*\[.*\]\s*", text) is not None
