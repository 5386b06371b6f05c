"""Writes a safetensors file of operations as PyTorch computes them, forward and backward: what OperationParityTests compares.

The metadata's "cases" is a JSON list of {op, type, terms, options}; "torch" and "seed" say where it comes from. Case i has
  i.in0, i.in1, …   floating-point operands in the case's type; i.index0, … integer ones
  i.dy              the gradient of the result, exact in the type
  i.out, i.grad0, … result and gradients in float64, from the operands as stored
  i.out.scale, …    |f| + Σ |∂f/∂x| |x| over all that f is computed from: what relative errors of operands and of intermediate
                    results add up to at first order, so that n roundings cost at most about n u times it; `terms` is the
                    longest sum among them. A log-probability is off by some u even where it is near 0, and p = exp(log p) by
                    as many u of p; tanh, sigmoid and softmax have their gradients from their rounded results: both are
                    added. The gradient of a normalized row is a difference whose terms may cancel: they are added too.
                    NaN in `out` must be NaN.
The committed file, Tests/NeedletailTrustTests/Fixtures/operations.safetensors, was made with Python 3.11, torch 2.13.0 (CPU),
safetensors 0.8.0:  python Tests/parity/operations.py
`make parity` makes another one, of random shapes from a random seed:  --seed N --cases N --largest N --output FILE
"""

import argparse
import json
import math
import os
import random

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURE = os.path.join(HERE, "..", "NeedletailTrustTests", "Fixtures", "operations.safetensors")
SEED = 20261123
TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def gelu(x):
    """GELU by erfc: torch's own, by 1 + erf, loses all digits of its left tail, in float64 too."""
    return 0.5 * x * torch.special.erfc(-x * math.sqrt(0.5))


class Case:
    """Operands and the function of one operation; `options` is what the other engine needs to know, numbers in lists."""

    def __init__(
        self, function, inputs, indices=(), terms=1, has_gradient=True, log_weight=None, from_result=None, difference=None, **options
    ):
        self.log_weight = log_weight  # of log-probabilities in the result, see `record`
        self.from_result = from_result  # |y|, |dy| -> what relative errors of y cost a gradient that is computed from y
        self.difference = difference  # operands, dy -> magnitudes of the terms that may cancel in the first operand's gradient
        self.function, self.inputs, self.indices = function, list(inputs), list(indices)
        self.terms, self.has_gradient = terms, has_gradient
        self.options = {k: [float(x) for x in (v if isinstance(v, (list, tuple)) else [v])] for k, v in options.items()}


class Maker:
    """Random shapes and values."""

    def __init__(self, seed, largest):
        self.random = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.largest = largest

    def size(self):
        return self.random.randint(1, self.largest)

    def shape(self, rank=None):
        return [self.size() for _ in range(rank or self.random.randint(1, 3))]

    def normal(self, *shape):
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def positive(self, *shape):
        return 0.5 + 1.5 * torch.rand(shape, generator=self.generator, dtype=torch.float64)

    def distinct(self, *shape):
        """Multiples of 1/8, no two equal; of at most 256 values 16-bit types can tell them apart."""
        count = math.prod(shape)
        return (torch.randperm(count, generator=self.generator).double().reshape(shape) - count // 2) / 8

    def integers(self, bound, *shape):
        return torch.randint(0, bound, shape, generator=self.generator)

    def broadcast_pair(self):
        """Two shapes that broadcast."""
        whole = self.shape()
        other = [1 if self.random.random() < 0.3 else n for n in whole][self.random.randrange(len(whole)) :]
        return (whole, other) if self.random.random() < 0.5 else (other, whole)

    def axes(self, rank):
        return sorted(self.random.sample(range(rank), self.random.randint(1, rank)))

    def choose(self, *values):
        return self.random.choice(values)


def elementwise(name, function):
    def make(m):
        positive = name in ("log", "sqrt")
        saved = {"tanh": lambda y, dy: 2 * y * y * dy, "sigmoid": lambda y, dy: y * dy}.get(name)
        return Case(function, [(m.positive if positive else m.normal)(*m.shape())], from_result=saved)

    return make


def binary(name, function):
    def make(m):
        a, b = m.broadcast_pair()
        if name in ("maximum", "minimum"):  # no ties: their gradient is a matter of taste
            return Case(function, [m.integers(32, *a).double() / 4, m.integers(32, *b).double() / 4 + 0.125])
        return Case(function, [m.normal(*a), m.positive(*b) if name == "divide" else m.normal(*b)], terms=8)

    return make


def power(m):
    p = m.choose(-2, -1, -0.5, 0, 0.5, 1, 2, 3, 1.7)
    return Case(lambda x: x**p, [m.positive(*m.shape())], p=p)


def clamp(m):
    return Case(lambda x: x.clamp(-0.75, 0.5), [m.integers(17, *m.shape()).double() / 8 - 1], min=-0.75, max=0.5)


def reduction(name):
    def make(m):
        shape = m.shape()
        axes, keep = m.axes(len(shape)), m.choose(False, True)
        if name == "variance" and math.prod(shape[a] for a in axes) < 2:
            shape = [n + 1 for n in shape]
        functions = {
            "sum": lambda x: x.sum(axes, keepdim=keep),
            "mean": lambda x: x.mean(axes, keepdim=keep),
            "max": lambda x: x.amax(axes, keepdim=keep),
            "variance": lambda x: x.var(axes, correction=1, keepdim=keep),
        }
        x = m.distinct(*shape) if name == "max" else m.normal(*shape)
        return Case(functions[name], [x], terms=math.prod(shape[a] for a in axes), axes=axes, keep=keep)

    return make


def matmul(m):
    n, k, p = m.size(), m.size(), m.size()
    batch, kind = m.choose([], [2], [2, 3]), m.choose("plain", "vectors", "left", "right", "shared", "transposed")
    a, b = batch + [n, k], batch + [k, p]
    if kind == "vectors":
        a, b = [k], [k]
    elif kind == "left":
        a, b = [k], [k, p]
    elif kind == "right":
        a, b = batch + [n, k], [k]
    elif kind == "shared":
        a, b = batch + [n, k], [k, p]
    elif kind == "transposed":
        a, b = [k, n], [p, k]
        return Case(lambda x, y: x.t() @ y.t(), [m.normal(*a), m.normal(*b)], terms=k, transposed=1)
    return Case(torch.matmul, [m.normal(*a), m.normal(*b)], terms=k * 6)


def linear(m):
    inputs, outputs = m.size(), m.size()
    activation, has_bias = m.choose(0, 1, 2), m.choose(False, True)
    function = [lambda x: x, torch.relu, gelu][activation]
    operands = [m.normal(*m.shape(), inputs), m.normal(outputs, inputs)] + ([m.normal(outputs)] if has_bias else [])
    rows = math.prod(operands[0].shape[:-1])
    return Case(
        lambda x, w, b=None: function(F.linear(x, w, b)), operands, terms=max(inputs, outputs, rows), activation=activation
    )


def normalized(function):
    def make(m):
        shape = m.shape()
        axis = m.random.randrange(len(shape))
        log_weight = (1, shape[axis]) if function is torch.log_softmax else None
        saved = (lambda y, dy: y * (dy + (dy * y).sum(axis, keepdim=True))) if function is torch.softmax else None
        return Case(
            lambda x: function(x, axis), [3 * m.normal(*shape)], terms=shape[axis], log_weight=log_weight,
            from_result=saved, axis=axis,
        )

    return make


def where(m):
    a, b = m.broadcast_pair()
    whole = torch.broadcast_shapes(a, b)
    condition = m.integers(2, *whole)
    return Case(lambda x, y: torch.where(condition > 0, x, y), [m.normal(*a), m.normal(*b)], [condition], terms=8)


def joined(function):
    def make(m):
        shape = m.shape()
        axis = m.random.randrange(len(shape))
        count = m.random.randint(1, 3)
        shapes = [shape[:] for _ in range(count)]
        if function is torch.cat:
            for other in shapes:
                other[axis] = m.size()
        return Case(lambda *x: function(x, axis), [m.normal(*s) for s in shapes], axis=axis)

    return make


def gather(m):
    shape = m.shape()
    axis = m.random.randrange(len(shape))
    index_shape = shape[:]
    index_shape[axis] = m.size()
    indices = m.integers(shape[axis], *index_shape)
    return Case(lambda x: x.gather(axis, indices), [m.normal(*shape)], [indices], terms=index_shape[axis], axis=axis)


def views(m):
    shape = [m.size() + 1, m.size(), m.size()]
    order = m.random.sample(range(3), 3)
    start = m.random.randrange(shape[0] - 1)
    target = [2] + [shape[a] for a in order]

    def function(x):  # slice, permute, broadcast, reshape, transpose, squeeze
        y = x[start:].permute(*order).unsqueeze(0).broadcast_to([2] + [x[start:].shape[a] for a in order])
        return y.reshape(2, -1).transpose(0, 1).unsqueeze(1).squeeze(1)

    return Case(function, [m.normal(*shape)], terms=2, start=start, order=order, rank=len(target))


def cross_entropy(kind):
    def make(m):
        classes = m.size() + 1
        further = m.choose([], [], [m.size()])
        rows = m.choose([], [m.size()], [m.size()]) if not further else [m.size()]
        shape, target_shape = rows + [classes] + further, rows + further
        reduction, smoothing = m.choose("mean", "sum", "none"), m.choose(0, 0, 0.1, 1)
        weights = m.choose(None, m.positive(classes).float().double())
        ignore = m.choose(-100, 1)
        logits = 3 * m.normal(*shape)
        axis = 1 if rows else 0
        options = dict(reduction=["mean", "sum", "none"].index(reduction), ignore=ignore, axis=axis)
        if weights is not None:
            options["weights"] = weights.tolist()
        terms = classes + math.prod(target_shape)
        largest = 1 if weights is None else max(1, weights.max().item())
        # Of a mean each row has a share; of a sum every row counts.
        log_weight = (largest * (math.prod(target_shape) if reduction == "sum" else 1), largest)
        if kind == "soft":
            targets = torch.softmax(m.normal(*shape), axis).float().double()
            options["targets"] = targets.flatten().tolist()
            options["smoothing"] = smoothing
            function = lambda x: F.cross_entropy(
                x, targets, weight=weights, label_smoothing=smoothing, reduction=reduction
            )
            return Case(function, [logits], terms=terms, log_weight=log_weight, **options)
        targets = m.integers(classes, *target_shape)
        if ignore == -100 and m.random.random() < 0.5:
            targets = torch.where(m.integers(4, *target_shape) == 0, -100, targets)
        if kind == "nll":
            function = lambda x: F.nll_loss(x, targets, weight=weights, ignore_index=ignore, reduction=reduction)
            return Case(function, [logits], [targets], terms=terms, **options)
        options["smoothing"] = smoothing
        function = lambda x: F.cross_entropy(
            x, targets, weight=weights, ignore_index=ignore, label_smoothing=smoothing, reduction=reduction
        )
        return Case(function, [logits], [targets], terms=terms, log_weight=log_weight, **options)

    return make


def normalized_difference(epsilon, centered):
    """|g| + mean|g| + |x̂| mean|g x̂|, each over the row's deviation: dx of a normalized row is their difference (g = w dy)."""

    def magnitudes(operands, dy):
        x, weight = operands[:2]
        x = x - x.mean(-1, keepdim=True) if centered else x
        scale = (x.square().mean(-1, keepdim=True) + epsilon).rsqrt()
        g, row = (weight * dy).abs(), (x * scale).abs()
        return scale * (g + g.mean(-1, keepdim=True) * centered + row * (g * row).mean(-1, keepdim=True))

    return magnitudes


def layer_norm(m):
    n = m.size() + 2
    x = m.normal(*m.shape(), n)
    rows = x.numel() // n
    return Case(
        lambda x, w, b: F.layer_norm(x, [n], w, b, 1e-5), [x, m.normal(n), m.normal(n)], terms=4 * max(n, rows),
        difference=normalized_difference(1e-5, True), epsilon=1e-5,
    )


def rms_norm(m):
    n = m.size() + 1
    x = m.normal(*m.shape(), n)
    return Case(
        lambda x, w: F.rms_norm(x, [n], w, 1e-6), [x, m.normal(n)], terms=4 * max(n, x.numel() // n),
        difference=normalized_difference(1e-6, False), epsilon=1e-6,
    )


def embedding(m):
    rows, columns = m.size(), m.size()
    index = m.integers(rows, *m.shape())
    return Case(lambda t: F.embedding(index, t), [m.normal(rows, columns)], [index], terms=index.numel())


def swiglu(m):
    shape = m.shape()
    return Case(lambda g, x: F.silu(g) * x, [m.normal(*shape), m.normal(*shape)], terms=8)


def rotary(m):
    half, heads, first = m.size(), m.size(), m.size() - 1
    x = m.normal(m.size(), m.size(), heads * 2 * half)
    angles = (first + torch.arange(x.shape[1])).double()[:, None] * 10000.0 ** (-torch.arange(half).double() / half)
    cosine, sine = angles.cos()[:, None], angles.sin()[:, None]

    def function(x):
        a, b = x.reshape(x.shape[0], x.shape[1], heads, 2, half).unbind(3)
        return torch.cat([a * cosine - b * sine, b * cosine + a * sine], -1).reshape(x.shape)

    # An angle's cosine and sine are rounded to float32 in 16-bit types: one rounding more.
    return Case(function, [x], terms=8, half=half, first=first)


def attention(packed):
    def make(m):
        batch, key_heads, group, size = m.size(), m.choose(1, 2), m.choose(1, 2), m.size()
        keys = m.size() + 1
        queries = keys if packed else m.random.randint(1, keys)
        heads, causal = key_heads * group, m.choose(0, 1)
        mask = m.integers(3, batch, keys) if m.random.random() < 0.5 else torch.ones(batch, keys, dtype=torch.int64)
        mask[:, 0] = 1
        seen = (mask > 0)[:, None, None, :].expand(batch, heads, queries, keys)
        if causal:
            seen = seen & torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)

        def function(q, k, v):
            k, v = (x.repeat_interleave(group, 1) for x in (k, v))
            with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
                return F.scaled_dot_product_attention(q, k, v, attn_mask=seen)

        def function_of_packed(x):
            parts = x.reshape(batch, keys, -1, size).transpose(1, 2).split([heads, key_heads, key_heads], 1)
            return function(*parts).transpose(1, 2).reshape(batch, keys, heads * size)

        operands = [m.normal(batch, heads, queries, size)] + [m.normal(batch, key_heads, keys, size) for _ in range(2)]
        if packed:
            operands = [m.normal(batch, keys, (heads + 2 * key_heads) * size)]
        # Gradients are computed from the rounded result: do . o enters each slope, which are below 1 and summed over queries.
        largest = max(x.abs().max() for x in operands) * heads * queries
        return Case(
            function_of_packed if packed else function, operands, [mask], terms=4 * (keys + size) * group,
            from_result=lambda y, dy: (y * dy).sum() * largest, causal=causal, heads=heads, keyHeads=key_heads,
        )

    return make


def feed_forward(m):
    width, hidden, outputs = m.size(), m.size(), m.size()
    operands = [m.normal(*m.shape(), width), m.normal(hidden, width), m.normal(hidden), m.normal(outputs, hidden), m.normal(outputs)]
    rows = operands[0].numel() // width
    return Case(
        lambda x, a, c, b, d: F.linear(gelu(F.linear(x, a, c)), b, d), operands,
        terms=4 * max(width, hidden, outputs, rows),
    )


def comparison(m):
    a, b = m.broadcast_pair()
    kind = m.random.randrange(6)
    functions = [torch.eq, torch.ne, torch.lt, torch.le, torch.gt, torch.ge]
    return Case(
        lambda x, y: functions[kind](x, y).double(), [m.integers(3, *a).double(), m.integers(3, *b).double()],
        has_gradient=False, kind=kind,
    )


def argmax(m):
    shape = m.shape()
    axis = m.random.randrange(len(shape))
    return Case(lambda x: x.argmax(axis).double(), [m.distinct(*shape)], has_gradient=False, axis=axis)


OPERATIONS = {
    "add": binary("add", torch.add),
    "subtract": binary("subtract", torch.sub),
    "multiply": binary("multiply", torch.mul),
    "divide": binary("divide", torch.div),
    "maximum": binary("maximum", torch.maximum),
    "minimum": binary("minimum", torch.minimum),
    "scalars": lambda m: Case(lambda x: 2 - (3 * x + 1) / 4 + 1 / x, [m.positive(*m.shape())]),
    "negate": elementwise("negate", torch.neg),
    "exp": elementwise("exp", torch.exp),
    "log": elementwise("log", torch.log),
    "sqrt": elementwise("sqrt", torch.sqrt),
    "tanh": elementwise("tanh", torch.tanh),
    "sigmoid": elementwise("sigmoid", torch.sigmoid),
    "relu": elementwise("relu", torch.relu),
    "gelu": elementwise("gelu", gelu),
    "silu": elementwise("silu", F.silu),
    "abs": elementwise("abs", torch.abs),
    "pow": power,
    "clamp": clamp,
    "sum": reduction("sum"),
    "mean": reduction("mean"),
    "max": reduction("max"),
    "variance": reduction("variance"),
    "matmul": matmul,
    "linear": linear,
    "softmax": normalized(torch.softmax),
    "logSoftmax": normalized(torch.log_softmax),
    "where": where,
    "concatenate": joined(torch.cat),
    "stack": joined(torch.stack),
    "gather": gather,
    "views": views,
    "crossEntropy": cross_entropy("hard"),
    "softCrossEntropy": cross_entropy("soft"),
    "nllLoss": cross_entropy("nll"),
    "compare": comparison,
    "argmax": argmax,
    "layerNorm": layer_norm,
    "rmsNorm": rms_norm,
    "embedding": embedding,
    "swiGLU": swiglu,
    "geluTanh": elementwise("geluTanh", lambda x: F.gelu(x, approximate="tanh")),
    "rotaryPositions": rotary,
    "attention": attention(False),
    "selfAttention": attention(True),
    "geluFeedForward": feed_forward,
}
LOSSES = {"crossEntropy", "softCrossEntropy", "nllLoss"}


def scale(function, operands):
    """|f| + Σ |∂f/∂x| |x| for each result of a function of several operands that returns a tuple."""
    results = function(*operands)
    jacobians = torch.func.jacrev(function, argnums=tuple(range(len(operands))))(*operands)
    scales = []
    for result, row in zip(results, jacobians):
        total = result.abs()
        for jacobian, x in zip(row, operands):
            flat = jacobian.reshape(result.numel(), x.numel()).abs() @ x.abs().reshape(-1)
            total = total + flat.reshape(result.shape)
        scales.append(total)
    return results, scales


def record(tensors, index, case, dtype, maker):
    inputs = [x.to(dtype) for x in case.inputs]
    exact = [x.double() for x in inputs]
    for position, x in enumerate(inputs):
        tensors[f"{index}.in{position}"] = x.contiguous()
    for position, x in enumerate(case.indices):
        tensors[f"{index}.index{position}"] = x.contiguous()
    if not case.has_gradient:
        tensors[f"{index}.out"] = case.function(*exact)
        return
    (out,), (out_scale,) = scale(lambda *x: (case.function(*x),), exact)
    if case.log_weight:
        out_scale = out_scale + case.log_weight[0]
    tensors[f"{index}.out"], tensors[f"{index}.out.scale"] = out, out_scale
    # The gradient of the result: multiples of 1/8, exact in every type.
    dy = maker.integers(33, *out.shape).double() / 8 - 2
    tensors[f"{index}.dy"] = dy

    def backward(*operands):
        _, pullback = torch.func.vjp(case.function, *operands[:-1])
        return pullback(operands[-1])

    for position, (gradient, size) in enumerate(zip(*scale(backward, exact + [dy]))):
        if case.from_result:
            size = size + case.from_result(out.abs(), dy.abs())
        if case.difference and position == 0:
            size = size + case.difference(exact, dy)
        if case.log_weight:
            probabilities = torch.softmax(exact[0], int(case.options["axis"][0]))
            size = size + case.log_weight[1] * dy.abs().max() * probabilities
        tensors[f"{index}.grad{position}"], tensors[f"{index}.grad{position}.scale"] = gradient, size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--cases", type=int, default=4, help="of each operation, in turns of the types; of a loss six times as many")
    parser.add_argument("--largest", type=int, default=4, help="sizes of axes are drawn from 1 up to this")
    parser.add_argument("--output", default=FIXTURE)
    options = parser.parse_args()

    maker = Maker(options.seed, options.largest)
    tensors, cases = {}, []
    for name, make in OPERATIONS.items():
        # Losses have many options.
        for turn in range(options.cases * (6 if name in LOSSES else 1)):
            dtype = TYPES[turn % 4]
            case = make(maker)
            record(tensors, len(cases), case, dtype, maker)
            cases.append(
                {"op": name, "type": str(dtype).split(".")[1], "terms": case.terms, "operands": len(case.inputs),
                 "indices": len(case.indices), "options": case.options}
            )
    metadata = {"torch": torch.__version__, "seed": str(options.seed), "cases": json.dumps(cases)}
    os.makedirs(os.path.dirname(os.path.abspath(options.output)), exist_ok=True)
    # Scales are rough figures: float32 will do. Clones, because gradients may be views of each other.
    tensors = {k: (t.float() if k.endswith("scale") else t).clone().contiguous() for k, t in tensors.items()}
    save_file(tensors, options.output, metadata=metadata)
    print(f"{options.output}: {len(cases)} cases, torch {torch.__version__}, seed {options.seed}")


if __name__ == "__main__":
    main()
