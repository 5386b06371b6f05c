"""Checks that the make targets, scripts, products and links that pages name are there."""

import re
import shlex


def variables(root):
    """The environment variables that sources, tests and scripts speak of."""
    places = ["Makefile", "Package.swift", ".ci/*", "Sources/**/*.swift", "Tests/**/*.swift"]
    return {
        name
        for place in places
        for path in root.glob(place)
        for name in re.findall(r"\bNEEDLETAIL_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))
    }


def script_options(root):
    """The options of the Python scripts."""
    places = ["Benchmarks/**/*.py", "scripts/*.py", "Tests/**/*.py"]
    return {
        name
        for place in places
        for path in root.glob(place)
        for name in re.findall(r'"(--[a-z][a-z-]*)"', path.read_text(encoding="utf-8"))
    }


def problems(text, root):
    """What is wrong with a `make`, `python3` or `swift` line."""
    words = shlex.split(text, comments=True)
    check = {"make": of_make, "python3": of_python, "swift": of_swift}[words[0]]
    return check(words[1:], root)


def of_make(words, root):
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):(?!=)", makefile, re.MULTILINE))
    found = []
    for word in words:
        name, equals, _ = word.partition("=")
        if equals and f"$({name})" not in makefile:
            found.append(f"the Makefile does not read {name}")
        elif not equals and name not in targets:
            found.append(f"the Makefile has no target '{name}'")
    return found


def of_python(words, root):
    script = root / words[0]
    if not script.is_file():
        return [f"there is no script {words[0]}"]
    source = script.read_text(encoding="utf-8")
    return [
        f"{words[0]} has no option {name}"
        for name in (word.partition("=")[0] for word in words[1:])
        if name.startswith("--") and f'"{name}"' not in source
    ]


def of_swift(words, root):
    """`swift run … PRODUCT …` names an executable, `swift package benchmark` a plug-in."""
    if words[:1] == ["package"]:
        manifest = (root / "Benchmarks/Package.swift").read_text(encoding="utf-8")
        return (
            []
            if words[1:2] == ["benchmark"] and '"BenchmarkPlugin"' in manifest
            else [f"no plug-in {words[1:]}"]
        )
    if words[:1] != ["run"]:
        return []
    manifest = (root / "Package.swift").read_text(encoding="utf-8")
    executables = re.findall(r'\.executable(?:Target)?\(\s*name: "(\w+)"', manifest)
    words = [word for word in words[1:] if not word.startswith("-") and word != "release"]
    return (
        []
        if words and words[0] in executables + ["NAME"]
        else [f"Package.swift has no executable {words[:1]}"]
    )


def link_problem(target, page, pages, root):
    """What is wrong with a link's target; `pages` has the anchors of every page by path."""
    if re.match(r"[a-z]+:", target):
        return None
    name, _, anchor = target.partition("#")
    path = (page.path.parent / name).resolve() if name else page.path.resolve()
    if not path.exists():
        return f"the link's target {target} does not exist"
    if anchor and path.suffix == ".md" and path in pages and anchor not in pages[path]:
        return f"{name or page.name} has no heading with the anchor #{anchor}"
    return None
