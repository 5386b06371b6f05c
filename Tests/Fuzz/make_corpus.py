"""Makes Tests/Fuzz/corpus: a folder of small valid files for each reader, from which the fuzzer begins.

Only Python's standard library (3.11); no random numbers. Files named "found-..." are the fuzzer's own and not made here.
Run: python Tests/Fuzz/make_corpus.py
"""

import gzip
import json
import os
import struct
import zlib

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def idx(kind, shape, elements):
    return bytes([0, 0, kind, len(shape)]) + b"".join(struct.pack(">I", size) for size in shape) + elements


def safetensors(entries, data, metadata=None):
    header = {} if metadata is None else {"__metadata__": metadata}
    for name, dtype, shape, offsets in entries:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def png(width, height, color_type, bit_depth, rows, extra=b"", interlace=0):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bit_depth, color_type, 0, 0, interlace)
    palette = chunk(b"PLTE", bytes(range(12))) if color_type == 3 else b""
    text = chunk(b"tEXt", extra) if extra else b""
    body = zlib.compress(rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + text + palette + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def state():
    """What a run of one parameter writes as state.json, without the checksum."""
    rule = {"initial": 65536, "growth": 2, "backoff": 0.5, "interval": 2000, "minimum": 1}
    return {
        "formatVersion": 1, "precision": "16-mixed", "kernelRow": "avx512",
        "trainer": {"epoch": 1, "batchInEpoch": 0, "globalStep": 3, "skippedSteps": 1, "emptyWindows": 0, "consecutiveSkips": [0]},
        "scaler": {"rule": rule, "scale": 65536, "growthTracker": 3},
        "loader": {"batchSize": 4, "batchCount": 3, "sampleCount": 12, "dropLast": False, "seed": 3},
        "optimizers": [{"kind": "Adam", "groups": [{"learningRate": 0.001, "beta1": 0.9, "amsgrad": False}]}],
        "schedules": [{"optimizer": 0, "kind": "LinearWarmUp", "options": "x", "interval": "step",
                       "state": {"count": 3, "hasApplied": False, "values": {"best": 0.5}}}],
        "random": {"drop": {"seed": 1, "stream": 0, "position": 18446744073709551615}},
        "hyperparameters": {"width": 2, "list": [1, -2, 3.5e10, True, None, "\u00e9\u0301\n"], "object": {"a": {}}},
        "module": {}, "callbacks": {"ModelCheckpoint(last)": {"top": []}}, "metrics": {"loss": "NaN", "accuracy": 1},
        "epochSums": [{"name": "a", "onStep": True, "onEpoch": True, "progressBar": False, "value": 1, "sum": 2, "weight": 3}],
        "files": {"model.safetensors": {"bytes": 348, "crc32": "00000000"}},
    }


def main():
    image = idx(8, [2, 2, 2], bytes(range(8)))
    tensors = [("a", "F32", [2], [0, 8]), ("b", "BOOL", [2], [8, 10]), ("c", "F16", [3, 0], [10, 10])]
    files = {
        "idx/bytes": image,
        "idx/short": idx(11, [2, 3], bytes(range(12))),
        "idx/double": idx(14, [2], bytes(range(16))),
        "idx/empty": idx(9, [0, 5], b""),
        "idx/gzipped": gzip.compress(image, mtime=0),
        "gzip/plain": gzip.compress(b"some text, some more text", mtime=0),
        "gzip/members": gzip.compress(b"one", mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(b"two", mtime=0),
        "gzip/fields": b"\x1f\x8b\x08\x1e" + bytes(6) + b"\x04\0ab\0\0name\0comment\0"
        + struct.pack("<H", zlib.crc32(b"\x1f\x8b\x08\x1e" + bytes(6) + b"\x04\0ab\0\0name\0comment\0") & 0xFFFF)
        + zlib.compress(b"x" * 100, 9, wbits=-15) + struct.pack("<II", zlib.crc32(b"x" * 100), 100),
        "gzip/stored": gzip.compress(bytes(range(64)), 0, mtime=0),
        "safetensors/three": safetensors(tensors, bytes(8) + b"\0\1", {"format": "pt"}),
        "safetensors/none": safetensors([], b""),
        "safetensors/escaped": struct.pack("<Q", 60) + b'{"\\u00e9\\ud83d\\ude00\\n":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'[:60],
        "checkpoint/run": json.dumps(state()).encode(),
        "checkpoint/indented": json.dumps(state(), indent=2).encode(),
        "checkpoint/empty": b"{}",
        "png/gray8": png(3, 2, 0, 8, b"\0\1\2\3\1\4\5\6"),
        "png/gray1": png(9, 1, 0, 1, b"\0\xff\x80"),
        "png/gray16": png(1, 2, 0, 16, b"\2\1\2\4\3\4"),
        "png/color": png(2, 1, 2, 8, b"\0\1\2\3\4\5\6", b"key\0value"),
        "png/palette": png(4, 1, 3, 2, b"\0\x1b"),
        "png/alpha": png(1, 1, 6, 8, b"\0\1\2\3\4"),
        "configuration/json": b'{"epochs": 3, "learning-rate": 1e-3, "keep": ["a.*=float32", "b"], "quiet": true, "data": null}',
        "configuration/yaml": b"# a run\nepochs: 3  # of it\nkeep:\n  - 'a'\n  - \"b\\x41\\n\"\nhidden: [8, 4]\nquiet: yes\ndata: ~\n",
        "configuration/scalars": b"%YAML 1.1\n---\n? epochs\n: !!int 3\nkeep: |2-\n    a\n  b\ndata: >+\n  c\n\n  d\n...\n",
        "configuration/references": b"data: &a x\nkeep: [&b y, z]\n",
        "configuration/nested": b"keep: [[[{a: [b]}]], {? [c] : d}]\nhidden:\n- - - e\n? [f]\n: g\n",
        "png/interlaced": png(2, 2, 0, 8, b"\0\1\0\2\0\3\4", interlace=1),
    }
    for name, data in files.items():
        path = os.path.join(FOLDER, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


if __name__ == "__main__":
    main()
