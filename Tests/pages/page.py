"""Reads a Markdown page: its commands with the output it shows, its code spans and links."""

import dataclasses
import pathlib
import re

ASSIGNMENT = r"(?:[A-Z_][A-Z0-9_]*=\S*\s+)*"
NEEDLETAIL = re.compile(ASSIGNMENT + r"(?:needletail\b|swift run\b.*\bneedletail\b)")
OTHER = re.compile(r"(?:make|python3|swift)\s")
SUBCOMMANDS = "train-gpt train evaluate predict inspect bench doctor verify generate".split()
# A line on which a command seems to stand, wherever it stands.
SEEMING = re.compile(r"(?:^|[\s`>$])needletail\s+(?:" + "|".join(SUBCOMMANDS) + r"|--\w)")
FENCE = re.compile(r"(\s*)(`{3,}|~{3,})\s*([\w+-]*)")
COMMAND_LANGUAGES = ("", "sh", "bash", "shell", "console", "indented")
SHORTHAND = re.compile(r"(?:" + "|".join(SUBCOMMANDS) + r")\s(?:.*\s)?--[a-z]")


@dataclasses.dataclass
class Command:
    """A command as it stands on a page."""

    line: int
    text: str
    is_inline: bool = False
    expected: list = dataclasses.field(default_factory=list)  # (line, text) of the output shown
    interrupt_after: int = None  # ^C is sent once so many of the expected lines have appeared
    exit_codes: tuple = (0,)


@dataclasses.dataclass
class Block:
    """A block of code; `before` is the paragraph in front of it."""

    line: int
    language: str
    lines: list
    before: str


class Page:
    def __init__(self, path, root):
        self.path = pathlib.Path(path)
        self.name = str(self.path.relative_to(root))
        self.text = self.path.read_text(encoding="utf-8")
        self.errors = []  # (line, message) of what cannot be understood
        self.blocks, self.prose = self._split()
        self.commands, self.spans = self._commands()

    def _split(self):
        """The blocks, and the rest as (line, text) paragraphs; a row of a table is one."""
        blocks, prose, paragraph, block, fence = [], [], [], None, None

        def end():
            if paragraph:
                prose.append((paragraph[0][0], "\n".join(text for _, text in paragraph)))
                paragraph.clear()

        for number, text in enumerate(self.text.split("\n"), 1):
            opening = FENCE.match(text)
            if fence is None and opening:
                end()
                language = opening[3].lower()
                fence = block = Block(number + 1, language, [], prose[-1][1] if prose else "")
                blocks.append(block)
                indent, closing = len(opening[1]), opening[2]
            elif fence is not None:
                if opening and opening[2].startswith(closing) and not opening[3]:
                    fence = None
                else:
                    fence.lines.append(text.removeprefix(" " * indent))
            elif text.startswith(("    ", "\t")) and not paragraph:
                if (
                    not block
                    or block.language != "indented"
                    or number != block.line + len(block.lines)
                ):
                    block = Block(number, "indented", [], prose[-1][1] if prose else "")
                    blocks.append(block)
                block.lines.append(text.removeprefix("\t").removeprefix("    "))
            elif not text.strip():
                end()
            else:
                if text.startswith("|"):
                    end()
                paragraph.append((number, text))
        end()
        if fence is not None:
            self.errors.append((fence.line - 1, "this block is never closed"))
        return blocks, prose

    def _commands(self):
        """The commands in their order on the page, and other code spans as (line, text)."""
        commands, spans = [], []
        for block in self.blocks:
            if block.language in COMMAND_LANGUAGES:
                found = self._of_block(block)
                commands += found
                if not found:
                    self._spans(block.line, "\n".join(block.lines), commands, spans)
        for line, text in self.prose:
            self._spans(line, text, commands, spans)
        commands.sort(key=lambda command: command.line)
        covered = {
            command.line + extra
            for command in commands
            for extra in range(command.text.count("\n") + command.is_inline + 1)
        }
        for number, text in enumerate(self.text.split("\n"), 1):
            if SEEMING.search(text) and not text.startswith("#") and number not in covered:
                self.errors.append((number, f"a command that is not run here: {text.strip()}"))
        return commands, spans

    @staticmethod
    def _joined(block):
        """The lines of a block as (number, text), those that a backslash continues as one."""
        lines = []
        for number, text in enumerate(block.lines, block.line):
            if lines and lines[-1][1].endswith("\\"):
                lines[-1] = (lines[-1][0], lines[-1][1] + "\n" + text)
            else:
                lines.append((number, text))
        return lines

    def _of_block(self, block):
        if any(text.startswith("$ ") for text in block.lines):
            return self._session(block)
        commands = [
            Command(number, text, exit_codes=exit_codes(text.partition("  #")[2]))
            for number, text in self._joined(block)
            if NEEDLETAIL.match(text) or OTHER.match(text)
        ]
        if commands:
            for number, text in self._joined(block):
                if text.strip() and not any(command.line == number for command in commands):
                    self.errors.append(
                        (number, f"found '{text}' in a block of commands, expected a command")
                    )
        return commands

    def _session(self, block):
        """Lines behind `$ ` are commands, those below their output, ^C the moment of a SIGINT."""
        commands = []
        for number, text in self._joined(block):
            if re.match(r"\$ (?:cd|export|source|set)\b", text):
                self.errors.append((number, f"found '{text}', but each command has its own shell"))
            elif text.startswith("$ "):
                commands.append(Command(number, text[2:]))
            elif not commands:
                self.errors.append((number, f"found '{text}' before the first command"))
            elif text == "^C":
                commands[-1].interrupt_after = len(commands[-1].expected)
            elif text.strip():
                commands[-1].expected.append((number, text))
        # "exit code N" in front of the block is the interrupted command's, else the last one's.
        if not commands:
            return commands
        failing = next((c for c in commands if c.interrupt_after is not None), commands[-1])
        failing.exit_codes = exit_codes(block.before)
        return commands

    def _spans(self, line, text, commands, spans):
        for match in re.finditer(r"(?<!`)`([^`]+)`(?!`)", text):
            number = line + text.count("\n", 0, match.start())
            span = re.sub(r"\s+", " ", match[1]).strip()
            if NEEDLETAIL.match(span) or SHORTHAND.match(span) or OTHER.match(span):
                span = "needletail " + span if SHORTHAND.match(span) else span
                behind = text[match.end() : match.end() + 60].partition("`")[0]
                commands.append(
                    Command(number, span, is_inline=True, exit_codes=exit_codes(behind))
                )
            else:
                spans.append((number, span))

    def links(self):
        """The targets of links and pictures, with their lines."""
        for line, text in self.prose:
            for match in re.finditer(
                r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", lambda m: " " * len(m[0]), text)
            ):
                yield line + text.count("\n", 0, match.start()), match[1]

    def anchors(self):
        """The anchors of the headings, in GitHub's spelling."""
        for _, text in self.prose:
            for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
                plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
                yield re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def exit_codes(text):
    """The exit codes that a text allows: "exit code 70"; "exit code 1 if …" allows 0 too."""
    match = re.search(r"exit code (\d+)( if)?", text.replace("\n", " "))
    if not match:
        return (0,)
    return (0, int(match[1])) if match[2] else (int(match[1]),)
