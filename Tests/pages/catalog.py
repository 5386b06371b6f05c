"""What commands and options the program has, as it describes itself."""

import json
import re
import shlex
import subprocess

# What stands for something else: an ellipsis, a word in capitals, alternatives.
PLACEHOLDER = re.compile(r"…|(?:^|=)[A-Z]+(?:\.[a-z]+)?$|^[^/]*\w\|\w")


class Catalog:
    def __init__(self, program):
        dump = subprocess.run(
            [program, "--experimental-dump-help"], stdout=subprocess.PIPE, check=True
        )
        self.root = json.loads(dump.stdout)["command"]
        doctor = subprocess.run([program, "doctor"], stdout=subprocess.PIPE, check=True, text=True)
        self.doctor = doctor.stdout
        self.everywhere = {}
        for command in self._all(self.root):
            for option in command.get("arguments", []):
                for name in self._names(option):
                    self.everywhere.setdefault(name, []).append(option)

    def _all(self, command):
        yield command
        for inner in command.get("subcommands", []):
            yield from self._all(inner)

    @staticmethod
    def _names(option):
        return [
            {"long": "--"}.get(name["kind"], "-") + name["name"] for name in option.get("names", [])
        ]

    def variables(self):
        """The environment variables of all options."""
        return {
            "NEEDLETAIL_" + name[2:].upper().replace("-", "_")
            for name in self.everywhere
            if name.startswith("--")
        }

    def parse(self, text):
        """The options by name, positional words and problems of a command that stands on a page."""
        words = self.words(text)
        problems, options, positional = [], {}, []
        while words and words[0] != "needletail":
            words.pop(0)  # assignments, or swift run
        command, words = self.root, words[1:]
        while words:
            found = [c for c in command.get("subcommands", []) if c["commandName"] == words[0]]
            if not found:
                break
            command, words = found[0], words[1:]
        default = command.get("defaultSubcommand")
        if default and not any(word in ("--help", "-h") for word in words):
            command = next(c for c in command["subcommands"] if c["commandName"] == default)
        if (
            words
            and command is self.root
            and not words[0].startswith("-")
            and not PLACEHOLDER.search(words[0])
        ):
            return Parsed(command, {}, [], [f"needletail has no command '{words[0]}'"], False)
        known = {
            name: option for option in command.get("arguments", []) for name in self._names(option)
        }
        if command["commandName"] == "train" and "gpt" in words:
            return self.parse(text.replace("needletail train", "needletail train-gpt", 1))
        if command is self.root:
            known = {name: found[0] for name, found in self.everywhere.items()}
        words = iter(words)
        for word in words:
            name, equals, value = word.partition("=")
            if not word.startswith("-"):
                positional.append(word)
            elif name not in known:
                problems.append(f"needletail {command['commandName']} has no option {name}")
            elif known[name]["kind"] == "flag":
                options[name] = True
            else:
                value = value if equals else next(words, None)
                problems += self.problems(known[name], name, value)
                options[name] = value
        wanted = [
            a
            for a in command.get("arguments", [])
            if a["kind"] == "positional" and not a["isOptional"]
        ]
        is_whole = len(positional) >= len(wanted) or "--help" in options
        return Parsed(command, options, positional, problems, is_whole)

    def problems(self, option, name, value):
        """What is wrong with a value."""
        if value is None:
            return [f"{name} needs a value"]
        allowed = option.get("allValues") or []
        alternatives = value.split("|")
        if not allowed or (len(alternatives) == 1 and PLACEHOLDER.search(value)):
            return []
        return [
            f"{name} is '{one}', expected one of {', '.join(allowed)}"
            for one in alternatives
            if one not in allowed
        ]

    def option_problems(self, span):
        """What is wrong with a code span of options: each must be one of some command."""
        words = self.words(span)
        problems = []
        while words:
            name = words.pop(0)
            if not name.startswith("--") or name == "--no-":
                continue
            found = self.everywhere.get(name.partition("=")[0], [])
            if not found:
                problems.append(f"no command has an option {name}")
            elif words and not words[0].startswith("-"):
                value = words.pop(0)
                tried = [
                    self.problems(option, name, value)
                    for option in found
                    if option["kind"] != "flag"
                ]
                if not tried:
                    problems.append(f"{name} takes no value, found '{value}'")
                elif all(tried):
                    problems += tried[0]
        return problems

    @staticmethod
    def words(text):
        """The words of a command up to a pipe or a comment."""
        lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars="")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words = []
        for word in lexer:
            if word in ("|", ">", "&&"):
                break
            words.append(word)
        return words

    def lacks_kernels(self, options):
        """Whether the command wants kernels that this CPU does not have."""
        rows = str(options.get("--kernel", "")).split(",")
        return any(row and not re.search(rf"\b{re.escape(row)}\b", self.doctor) for row in rows)


class Parsed:
    def __init__(self, command, options, positional, problems, is_whole):
        self.command = command["commandName"]
        self.options, self.positional, self.problems, self.is_whole = (
            options,
            positional,
            problems,
            is_whole,
        )

    def inputs(self):
        """The files that the command reads."""
        reads = ("evaluate", "predict", "inspect", "generate", "compare")
        files = list(self.positional) if self.command in reads else []
        files += [self.options[name] for name in ("--config", "--init") if name in self.options]
        data = self.options.get("--data")
        if data and data not in ("digits", "fashion-mnist", "mnist"):
            files.append(data)
        shapes = self.options.get("--shapes", "")
        if "/" in shapes or shapes.endswith(".txt"):
            files.append(shapes)
        if self.options.get("--resume") == "last" and "--checkpoint" in self.options:
            files.append(self.options["--checkpoint"] + "/last")
        return files
