#!/usr/bin/env python3
"""Writes the Swift code of pages and doc comments as sources of a package that depends on this one.

Usage: fragments.py ROOT CONSUMER     (called by run)

Which code: the blocks with `swift` in README.md, CONTRIBUTING.md and docs/, and in the doc
comments of Sources/ those that are indented or have `swift`; what is no code there stands in a
block with `text`. A block that imports Needletail is a program of its own: README's, main.swift
of the target Consumer. Every other one goes into a frame of frames/, a file of the target Pages:
into a configuration closure where it begins with `$0.`, into a class where it begins with
`override`, else into a function. Errors of the compiler name the page's line.
"""

import pathlib
import re
import sys

ROOT, CONSUMER = map(pathlib.Path, sys.argv[1:])
FRAMES = pathlib.Path(__file__).parent / "frames"


def blocks_of_page(path):
    """The blocks with `swift` of a page as (line, text)."""
    text = path.read_text(encoding="utf-8")
    fence = r"^ *(`{3,}|~{3,}) *swift\b[^\n]*\n(.*?)^ *\1 *$"
    for match in re.finditer(fence, text, re.MULTILINE | re.DOTALL | re.IGNORECASE):
        yield text.count("\n", 0, match.start()) + 2, match[2]


def blocks_of_source(path):
    """The code in doc comments as (line, text): indented blocks, and those with `swift`."""
    lines, start, language, blank = [], None, None, 0
    for number, text in enumerate([*path.read_text(encoding="utf-8").split("\n"), ""], 1):
        comment = re.match(r"\s*///(.*)", text)
        content = comment[1] if comment else ""
        fence = re.match(r"\s*```(\w*)", content)
        if language is None and lines and comment and not content.strip():
            blank += 1  # within the block, if it goes on
            continue
        if language is None and not content.startswith("     ") and lines:
            yield start, "\n".join(lines) + "\n"
            lines = []
        if lines:
            lines += [""] * blank
        blank = 0
        if fence and language is None:
            language, start = fence[1], number + 1
            if language not in ("swift", "text"):
                sys.exit(
                    f"{path}:{number}: found a block with '{language}', expected swift or text"
                )
        elif fence or not comment:
            if language == "swift":
                yield start, "\n".join(lines) + "\n"
            language, lines = None, []
        elif language is not None or content.startswith("     "):
            start = start if lines else number
            lines.append(content[1:] if language else content[5:])


def frame_of(code):
    """The frame that a fragment is compiled in."""
    if code.startswith("$0."):
        return "Configuration.swift"
    return "Members.swift" if code.startswith("override ") else "Statements.swift"


def write(name, line, code, number, program):
    if re.match(r"import Needletail\b", code):
        if program.exists():
            sys.exit(f"{name}:{line}: a second program; the consumer has a target for one")
        program.write_text(code, encoding="utf-8")
        return
    placed = f'#sourceLocation(file: "{name}", line: {line})\n{code}#sourceLocation()'
    frame = (FRAMES / frame_of(code)).read_text(encoding="utf-8")
    (CONSUMER / f"Sources/Pages/Fragment{number}.swift").write_text(
        frame.replace("// fragment", placed), encoding="utf-8"
    )


def main():
    program = CONSUMER / "Sources/Consumer/main.swift"
    for folder in (program.parent, CONSUMER / "Sources/Pages"):
        folder.mkdir(parents=True, exist_ok=True)
    (CONSUMER / "Sources/Pages/Prelude.swift").write_text(
        (FRAMES / "Prelude.swift").read_text(encoding="utf-8")
    )
    pages = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
    found = [(path, block) for path in pages for block in blocks_of_page(path)]
    found += [
        (path, block)
        for path in sorted(ROOT.glob("Sources/**/*.swift"))
        for block in blocks_of_source(path)
    ]
    for number, (path, (line, code)) in enumerate(found, 1):
        write(path.relative_to(ROOT), line, code, number, program)
    print(f"consumer: {len(found)} examples of pages and doc comments")


main()
