"""What compare_bars.py compares beside products, in PyTorch: losses with their gradients and AdamW. Spoken to as products_worker.py is.

A request names its "work": cross_entropy (rows, classes), linear_cross_entropy (rows, inputs, classes), adamw (count), or none for a product.
"""

import products_worker
import torch

TYPES = products_worker.TYPES


def cross_entropy(request):
    """Mean loss and its gradient by the logits."""
    rows, classes = request["rows"], request["classes"]
    logits = torch.rand(rows, classes).mul(6).sub(3).to(TYPES[request["type"]]).requires_grad_()
    targets = torch.randint(0, classes, (rows,))

    def run():
        logits.grad = None
        torch.nn.functional.cross_entropy(logits, targets).backward()

    return run


def linear_cross_entropy(request):
    """Mean loss of a linear layer's logits and its gradients by input and weight."""
    rows, inputs, classes = request["rows"], request["inputs"], request["classes"]
    dtype = TYPES[request["type"]]
    x = torch.rand(rows, inputs).mul(2).sub(1).to(dtype).requires_grad_()
    weight = torch.rand(classes, inputs).mul(0.1).sub(0.05).to(dtype).requires_grad_()
    targets = torch.randint(0, classes, (rows,))

    def run():
        x.grad = weight.grad = None
        torch.nn.functional.cross_entropy(torch.nn.functional.linear(x, weight), targets).backward()

    return run


def adamw(request):
    """Unscaling with the finite check as GradScaler does it, clipping by norm, the fused update. There is no 16-bit copy."""
    parameter = torch.nn.Parameter(torch.rand(request["count"]))
    parameter.grad = torch.rand(request["count"])
    optimizer = torch.optim.AdamW([parameter], lr=1e-9, fused=True)
    found, inverse = torch.zeros(1), torch.ones(1)

    def run():
        torch._amp_foreach_non_finite_check_and_unscale_([parameter.grad], found, inverse)
        if found.item() == 0:
            torch.nn.utils.clip_grad_norm_([parameter], 1.0)
            optimizer.step()

    return run


def call(request):
    if "work" not in request:
        return products_worker.call(request)
    torch.set_grad_enabled(True)
    return {"cross_entropy": cross_entropy, "linear_cross_entropy": linear_cross_entropy, "adamw": adamw}[request["work"]](request)


if __name__ == "__main__":
    products_worker.main(call)
