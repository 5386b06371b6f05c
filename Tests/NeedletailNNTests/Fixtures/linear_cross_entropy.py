"""Writes linear_cross_entropy.safetensors: losses and gradients of cross_entropy(linear(x)) in float64, every reduction.

Made with Python 3.11, torch 2.13.0 (CPU), safetensors 0.8.0, seed 20261123:  python linear_cross_entropy.py
"""

import os

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(20261123)


def main():
    x, weight, bias = torch.randn(3, 5, 6), torch.randn(11, 6), torch.randn(11)
    classes, seeds = torch.rand(11) + 0.25, torch.randn(3, 5)
    targets = torch.randint(0, 11, (3, 5))
    targets[1, 2:4] = 7
    tensors = {"x": x, "weight": weight, "bias": bias, "classes": classes, "seeds": seeds, "targets": targets}
    for reduction in ["mean", "sum", "none"]:
        leaves = [t.double().requires_grad_() for t in (x, weight, bias)]
        logits = torch.nn.functional.linear(*leaves).reshape(15, 11)
        loss = torch.nn.functional.cross_entropy(
            logits, targets.reshape(15), classes.double(), ignore_index=7, label_smoothing=0.125, reduction=reduction
        )
        (loss.reshape(3, 5) * seeds.double()).sum().backward() if reduction == "none" else loss.backward()
        tensors[f"{reduction}.loss"] = loss.detach().reshape(3, 5) if reduction == "none" else loss.detach()
        for name, leaf in zip(["x", "weight", "bias"], leaves):
            tensors[f"{reduction}.{name}"] = leaf.grad
    save_file(tensors, os.path.join(HERE, "linear_cross_entropy.safetensors"))


main()
