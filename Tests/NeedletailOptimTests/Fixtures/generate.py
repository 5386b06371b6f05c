"""Writes trajectories.safetensors and scaler.safetensors: what PyTorch's optimizers and GradScaler do.

Made with Python 3.11, torch 2.13.0 (CPU), safetensors 0.8.0, seed 20260801:  python generate.py
Single-tensor implementations (foreach=False, fused=False). Every case starts from the same parameters "a" [12] and "b" [3]
and sees the same gradients; "b" has none in steps where (t % 3) == 1. Recorded are the parameters after the steps RECORDED, as
float32 run ("<case>.<parameter>.f32") and as float64 run ("<case>.<parameter>.f64") on the same float32 inputs.
"""

import math
import os
import platform

import torch
from safetensors.torch import save_file

SEED = 20260801
HERE = os.path.dirname(os.path.abspath(__file__))
RECORDED = [1, 2, 3, 5, 10, 20, 50, 100]
RECORDED_LONG = RECORDED + [200, 500, 1000, 1500]

# Gradients of "a": a factor an element, 0 = zero gradient.
SCALES = [1, 1, 0.1, 1e-3, 1e-6, 1e-9, 1e-12, 1e3, 1e6, 1e15, 0, 1e38]
TAME = [1, 1, 0.1, 1e-3, 1e-6, 1e-9, 1e-12, 2, 3, 4, 0, 5]

CASES = {
    "sgd": (torch.optim.SGD, dict(lr=0.1), 100),
    "sgd_decay": (torch.optim.SGD, dict(lr=0.05, weight_decay=0.01), 100),
    "sgd_momentum": (torch.optim.SGD, dict(lr=0.01, momentum=0.9), 100),
    "sgd_dampening": (torch.optim.SGD, dict(lr=0.01, momentum=0.9, dampening=0.5, weight_decay=1e-3), 100),
    "sgd_nesterov": (torch.optim.SGD, dict(lr=0.01, momentum=0.9, nesterov=True, weight_decay=1e-2), 100),
    "sgd_maximize": (torch.optim.SGD, dict(lr=0.01, momentum=0.5, maximize=True), 100),
    "sgd_clip": (torch.optim.SGD, dict(lr=0.1, momentum=0.9), 100),
    "adam": (torch.optim.Adam, dict(), 1500),
    "adam_decay": (torch.optim.Adam, dict(lr=0.01, weight_decay=0.1, eps=1e-6), 100),
    "adam_amsgrad": (torch.optim.Adam, dict(lr=0.01, amsgrad=True, betas=(0.8, 0.9)), 100),
    "adam_maximize": (torch.optim.Adam, dict(lr=0.01, maximize=True, betas=(0.0, 0.99)), 100),
    "adamw": (torch.optim.AdamW, dict(), 1500),
    "adamw_amsgrad": (torch.optim.AdamW, dict(lr=0.02, amsgrad=True, betas=(0.4, 0.95), weight_decay=0.1), 100),
}
CLIP = 1.0


def trajectories():
    generator = torch.Generator().manual_seed(SEED)
    start = {"a": torch.randn(12, generator=generator), "b": torch.randn(3, generator=generator)}
    unit = torch.randn(1500, 12, generator=generator)
    # Below the largest float32, 3.4e38, whatever the draw.
    wild = unit.clamp(-3, 3) * torch.tensor(SCALES)
    tame = unit * torch.tensor(TAME)
    of_b = torch.randn(1500, 3, generator=generator)
    tensors = {"start.a": start["a"], "start.b": start["b"], "wild": wild, "tame": tame, "of_b": of_b}

    for name, (kind, options, steps) in CASES.items():
        gradients = tame if name == "sgd_clip" else wild
        recorded = RECORDED_LONG if steps > 100 else RECORDED
        for label, dtype in (("f32", torch.float32), ("f64", torch.float64)):
            a, b = (torch.nn.Parameter(start[k].to(dtype).clone()) for k in ("a", "b"))
            optimizer = kind([a, b], foreach=False, fused=False, **options)
            seen = {"a": [], "b": []}
            for t in range(1, steps + 1):
                a.grad = gradients[t - 1].to(dtype).clone()
                b.grad = None if t % 3 == 1 else of_b[t - 1].to(dtype).clone()
                if name == "sgd_clip":
                    torch.nn.utils.clip_grad_norm_([a, b], CLIP, foreach=False)
                optimizer.step()
                if t in recorded:
                    seen["a"].append(a.detach().clone())
                    seen["b"].append(b.detach().clone())
            for key, rows in seen.items():
                tensors[f"{name}.{key}.{label}"] = torch.stack(rows)
    return tensors


def scaler_sequences():
    tensors = {}
    generator = torch.Generator().manual_seed(SEED)
    # (initial, growth, backoff, interval, share of overflows)
    configurations = [
        (65536.0, 2.0, 0.5, 3, 0.2),
        (65536.0, 2.0, 0.5, 1, 0.5),
        (1000.0, 1.37, 0.61, 4, 0.12),
        (2.0**120, 2.0, 0.5, 2, 0.02),
        (2.0**100, 3.3, 0.7, 5, 0.02),
    ]
    for index, (initial, growth, backoff, interval, share) in enumerate(configurations):
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=0.0)
        scaler = torch.amp.GradScaler(
            "cpu", init_scale=initial, growth_factor=growth, backoff_factor=backoff, growth_interval=interval
        )
        flags = torch.rand(2000, generator=generator) < share
        scales, trackers = [], []
        scaler.scale(torch.zeros(()))
        for flag in flags:
            parameter.grad = torch.tensor([math.inf if flag else 1.0])
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale())
            trackers.append(scaler._get_growth_tracker())
        tensors[f"{index}.rule"] = torch.tensor([initial, growth, backoff, interval], dtype=torch.float64)
        tensors[f"{index}.overflowed"] = flags
        tensors[f"{index}.scale"] = torch.tensor(scales, dtype=torch.float32)
        tensors[f"{index}.tracker"] = torch.tensor(trackers, dtype=torch.int32)
        assert tensors[f"{index}.scale"].min() > 2.0**-126
    return tensors


made_with = {"generator": f"Python {platform.python_version()}, torch {torch.__version__}, seed {SEED}"}
save_file(trajectories(), os.path.join(HERE, "trajectories.safetensors"), metadata=made_with)
save_file(scaler_sequences(), os.path.join(HERE, "scaler.safetensors"), metadata=made_with)
