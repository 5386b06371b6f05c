"""The files that pages name and that no command on them makes."""

import os
import pathlib
import shutil
import struct
import subprocess
import zlib


def png(path, _):
    """A grey picture of 28 x 28: a bright box on black."""
    rows = b"".join(
        b"\0" + bytes(255 if 6 <= x < 22 and 4 <= y < 24 else 0 for x in range(28))
        for y in range(28)
    )

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def text(path, root):
    """English prose: the pages themselves."""
    pages = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    path.write_text("\n".join(page.read_text(encoding="utf-8") for page in pages), encoding="utf-8")


def configuration(path, _):
    path.write_text("batch-size: 32\n")


def copied(name):
    def copy(path, root):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, path)

    return copy


TABLE = {
    "image.png": png,
    "boot.png": png,
    "input.txt": text,
    "run.yaml": configuration,
    "Benchmarks/Shapes/gpt2.txt": copied("Benchmarks/Shapes/gpt2.txt"),
}


def prepare(command_text, folder, root):
    """Makes those files that the command names and that are not there yet."""
    for name, make in TABLE.items():
        path = pathlib.Path(folder, name)
        if name in command_text and not path.exists():
            make(path, root)


def prepare_measurements(names, folder, program):
    """Two short measurements for `bench compare`; the page's own were stopped in the middle."""
    variables = {
        **os.environ,
        "NEEDLETAIL_ROUNDS": "2",
        "NEEDLETAIL_MIN_TIME": "0.001",
        "NEEDLETAIL_SHAPES": "64x64x64",
    }
    for name in names:
        with open(pathlib.Path(folder, name), "wb") as file:
            subprocess.run(
                [program, "bench", "gemm", "--json"], env=variables, stdout=file, check=True
            )
