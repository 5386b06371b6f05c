"""Matrix products in PyTorch, as a process that compare_products.py keeps and asks.

Reads a line {"shape": [m, n, k], "layout": "NT", "contestant": "torch", "type": "bf16", "seconds": 0.02} and answers with
{"seconds": median of a call over five turns} or {"error": why not}. Contestants: torch (torch.mm into an existing result: MKL for
fp32, oneDNN or PyTorch's own for 16 bit) and onednn (oneDNN's inner product, called directly).
"""

import json
import os
import re
import statistics
import sys
import time

import torch

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def call(request):
    """The product as a function without arguments, on fresh random operands."""
    m, n, k = request["shape"]
    layout, dtype = request["layout"], TYPES[request["type"]]
    a = torch.rand(k, m).mul(2).sub(1).to(dtype).t() if layout[0] == "T" else torch.rand(m, k).mul(2).sub(1).to(dtype)
    b = torch.rand(n, k).mul(2).sub(1).to(dtype).t() if layout[1] == "T" else torch.rand(k, n).mul(2).sub(1).to(dtype)
    torch.set_grad_enabled(False)
    if request["contestant"] == "torch":
        c = torch.empty(m, n, dtype=dtype)
        return lambda: torch.mm(a, b, out=c)
    if layout[0] == "T":
        raise ValueError("oneDNN's inner product takes a left operand row by row")
    weight = b.t()
    return lambda: torch.ops.mkldnn._linear_pointwise(a, weight, None, "none", [], "")


def median_seconds(product, seconds, turns=5):
    """Median over turns of the mean of a turn's calls; a turn lasts seconds / turns at least."""
    product()
    calls = 1
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            product()
        elapsed = time.perf_counter() - start
        if elapsed >= seconds / turns / 4:
            break
        calls *= 2
    calls = max(1, round(calls * seconds / turns / elapsed))
    samples = []
    for _ in range(turns):
        start = time.perf_counter()
        for _ in range(calls):
            product()
        samples.append((time.perf_counter() - start) / calls)
    return statistics.median(samples)


def main(call=call):
    """Answers requests for what `call` makes of them."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    # PyTorch's build description still says MKL-DNN, oneDNN's first name.
    onednn = re.search(r"(?:MKL-DNN|oneDNN) (v[0-9.]+)", torch.__config__.show())
    print(json.dumps({"torch": torch.__version__, "onednn": onednn.group(1) if onednn else "unknown"}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"seconds": median_seconds(call(request), request["seconds"], request.get("turns", 5))}
        except Exception as error:  # a type or layout that the peer does not have on this CPU
            answer = {"error": str(error).split("\n")[0]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
