"""Convolutions, pooling and normalisation as PyTorch computes them, forward and backward: what VisionParityTests compares.

The file is made as operations.py makes its own (there stands what its tensors mean); the committed one,
Tests/NeedletailTrustTests/Fixtures/vision.safetensors, with the same versions:  python Tests/parity/vision.py
"""

import argparse
import json
import math
import os

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from operations import SEED, TYPES, Case, Maker, gelu, record

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURE = os.path.join(HERE, "..", "NeedletailTrustTests", "Fixtures", "vision.safetensors")
ACTIVATIONS = [lambda x: x, torch.relu, gelu]


def geometry(m):
    """Stride, padding, dilation for height and width, groups."""
    stride, dilation = [m.choose(1, 1, 2, 3) for _ in range(2)], [m.choose(1, 1, 2) for _ in range(2)]
    return stride, [m.choose(0, 1, 2) for _ in range(2)], dilation, m.choose(1, 1, 2)


def convolution(dimensions, transposed=False):
    def make(m):
        while True:
            stride, padding, dilation, groups = geometry(m)
            kernel, size = [m.choose(1, 2, 3) for _ in range(2)], [m.choose(3, 4, 5) for _ in range(2)]
            channels, outputs = groups * m.choose(1, 2, 3), groups * m.choose(1, 2, 3)
            if dimensions == 1:
                stride, padding, dilation = stride[1:], padding[1:], dilation[1:]
                kernel, size = kernel[1:], size[1:]
            reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
            if transposed:
                extra = [m.random.randrange(s) for s in stride]
                results = [(n - 1) * s - 2 * p + r + e for n, s, p, r, e in zip(size, stride, padding, reach, extra)]
                if min(results) > 0 and math.prod(results) <= 150:
                    break
            elif all(n + 2 * p >= r for n, p, r in zip(size, padding, reach)):
                break
        activation, has_bias, batch = m.choose(0, 1, 2), m.choose(False, True), m.choose(1, 2)
        x = m.normal(batch, channels, *size)
        if transposed:
            weight = m.normal(channels, outputs // groups, *kernel)
        else:
            weight = m.normal(outputs, channels // groups, *kernel)
        operands = [x, weight] + ([m.normal(outputs)] if has_bias else [])
        options = dict(stride=stride, padding=padding, dilation=dilation, groups=groups, activation=activation)
        function = ACTIVATIONS[activation]
        if transposed:
            options["extra"] = extra
            run = lambda x, w, b=None: function(
                F.conv_transpose2d(x, w, b, stride, padding, extra, groups, dilation)
            )
        else:
            forward = F.conv1d if dimensions == 1 else F.conv2d
            run = lambda x, w, b=None: function(forward(x, w, b, stride, padding, dilation, groups))
        return Case(run, operands, terms=weight.numel() + x.numel(), **options)

    return make


def pool(name):
    def make(m):
        size = [m.choose(4, 5, 6) for _ in range(2)]
        shape = [m.choose(1, 2), m.choose(1, 3)] + size
        if name == "adaptive":
            output = [m.choose(1, 2, 3, 4), m.choose(1, 2, 7)]
            return Case(lambda x: F.adaptive_avg_pool2d(x, output), [m.normal(*shape)], terms=36, output=output)
        kernel = [m.choose(1, 2, 3) for _ in range(2)]
        stride = m.choose(kernel, [m.choose(1, 2, 3) for _ in range(2)])
        padding = [m.random.randint(0, k // 2) for k in kernel]
        options = dict(kernel=kernel, stride=stride, padding=padding)
        if name == "max":
            return Case(lambda x: F.max_pool2d(x, kernel, stride, padding), [m.distinct(*shape)], terms=9, **options)
        counts = m.choose(False, True)
        return Case(
            lambda x: F.avg_pool2d(x, kernel, stride, padding, count_include_pad=counts), [m.normal(*shape)], terms=9,
            counts=counts, **options,
        )

    return make


def normalization(kind):
    def make(m):
        groups = m.choose(1, 2, 3)
        channels = groups * m.choose(1, 2)
        shape = [m.choose(2, 3), channels] + m.choose([], [3], [2, 3]) if kind != "group" else [2, channels] + m.choose([3], [2, 3])
        activation, has_parameters = m.choose(0, 1, 2), m.choose(False, True, True)
        operands = [m.normal(*shape) + 0.5] + ([m.positive(channels), m.normal(channels)] if has_parameters else [])
        function, options = ACTIVATIONS[activation], dict(activation=activation, groups=groups)
        if kind == "batch":
            run = lambda x, w=None, b=None: function(F.batch_norm(x, None, None, w, b, True, 0.0, 0.25))
        elif kind == "given":
            mean, variance = m.normal(channels), m.positive(channels)
            options.update(mean=mean.tolist(), variance=variance.tolist())
            run = lambda x, w=None, b=None: function(F.batch_norm(x, mean, variance, w, b, False, 0.0, 0.25))
        else:
            run = lambda x, w=None, b=None: function(F.group_norm(x, groups, w, b, 0.25))
        return Case(run, operands, terms=math.prod(shape), **options)

    return make


OPERATIONS = {
    "conv2d": convolution(2),
    "conv1d": convolution(1),
    "convTranspose2d": convolution(2, transposed=True),
    "maxPool2d": pool("max"),
    "averagePool2d": pool("average"),
    "adaptiveAveragePool2d": pool("adaptive"),
    "batchNorm": normalization("batch"),
    "batchNormGiven": normalization("given"),
    "groupNorm": normalization("group"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--cases", type=int, default=16, help="of each operation, in turns of the types")
    parser.add_argument("--output", default=FIXTURE)
    options = parser.parse_args()
    maker = Maker(options.seed, 4)
    tensors, cases = {}, []
    for name, make in OPERATIONS.items():
        for turn in range(options.cases):
            dtype = TYPES[turn % 4]
            case = make(maker)
            record(tensors, len(cases), case, dtype, maker)
            cases.append(
                {"op": name, "type": str(dtype).split(".")[1], "terms": case.terms, "operands": len(case.inputs),
                 "indices": 0, "options": case.options}
            )
    metadata = {"torch": torch.__version__, "seed": str(options.seed), "cases": json.dumps(cases)}
    tensors = {k: (t.float() if k.endswith("scale") else t).clone().contiguous() for k, t in tensors.items()}
    save_file(tensors, options.output, metadata=metadata)
    print(f"{options.output}: {len(cases)} cases, torch {torch.__version__}, seed {options.seed}")


if __name__ == "__main__":
    main()
