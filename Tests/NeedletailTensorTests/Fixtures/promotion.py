"""Writes promotion.txt: what PyTorch makes of every operator on every pair of types.

One line a case: operator, left operand, right operand, result. An operand is `type:values` for a
vector, `type():value` for a 0-dimensional tensor, or a number; a result is `type:values` or `error`.
Values are exact in their types. Two deliberate differences: quotients are true ones (PyTorch
multiplies by the reciprocal of a number), and comparisons with a number are exact (PyTorch rounds
the number to the tensor's type). Run with PyTorch 2.13.0: python3 promotion.py > promotion.txt
"""

import operator

import torch

TYPES = {
    "bool": ([True, False, True], [False, False, True]),
    "uint8": ([10, 200, 3], [7, 3, 3]),
    "int32": ([-7, 2, 100000], [3, 2, -100000]),
    "int64": ([-5, 3, 1 << 40], [-5, 4, 1 << 20]),
    "float16": ([1.5, -2.25, 3.0], [1.5, 4.0, -0.5]),
    "bfloat16": ([2.5, -1.0, 8.0], [2.5, 0.25, -4.0]),
    "float32": ([0.1, -7.5, 3.0], [0.5, -7.5, 100.25]),
    "float64": ([0.1, 2.5, -3.0], [0.2, 2.5, 1e300]),
}
SCALARS = [5, -3, 2.5, -0.75]
OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: quotient(a, b),
    ".==": torch.eq,
    ".!=": torch.ne,
    ".<": torch.lt,
    ".<=": torch.le,
    ".>": torch.gt,
    ".>=": torch.ge,
}
COMPARISONS = {".==": "eq", ".!=": "ne", ".<": "lt", ".<=": "le", ".>": "gt", ".>=": "ge"}
OF_TENSORS = {"maximum": torch.maximum, "minimum": torch.minimum}
CHOICE = torch.tensor([True, False, True])
OF_TENSORS["where"] = lambda a, b: torch.where(CHOICE, a, b)


def text(value):
    if not isinstance(value, torch.Tensor):
        return repr(value)
    name = str(value.dtype).removeprefix("torch.") + ("()" if value.dim() == 0 else "")
    flat = value.reshape(-1)
    items = flat.double().tolist() if value.dtype.is_floating_point else flat.tolist()
    return name + ":" + ",".join(repr(int(x) if isinstance(x, bool) else x) for x in items)


def quotient(a, b):
    """The true quotient in PyTorch's type, of operands of one shape."""
    result = a / b
    operands = (torch.as_tensor(x).to(result.dtype).expand(result.shape).clone() for x in (a, b))
    return operator.truediv(*operands)


def compared(name, a, number):
    test = getattr(operator, COMPARISONS[name])
    found = torch.tensor([test(x, number) for x in a.reshape(-1).tolist()])
    return found.reshape(a.shape)


def case(name, function, a, b):
    try:
        if name in COMPARISONS and not isinstance(b, torch.Tensor):
            result = text(compared(name, a, b))
        else:
            result = text(function(a, b))
    except RuntimeError:
        result = "error"
    print(name, text(a), text(b), result)


vectors = [
    [torch.tensor(values[side], dtype=getattr(torch, name)) for name, values in TYPES.items()]
    for side in (0, 1)
]
for name, function in (OPERATORS | OF_TENSORS).items():
    for a in vectors[0]:
        for b in vectors[1]:
            case(name, function, a, b)
            case(name, function, a, b[1])
            case(name, function, a[2], b)
            case(name, function, a[2], b[1])
for name, function in OPERATORS.items():
    for a in vectors[0]:
        for s in SCALARS:
            case(name, function, a, s)
            case(name, function, a[1], s)
            if not name.startswith("."):
                case(name, function, s, a)
