"""Writes trajectories, rmsprop, adagrad, lion, clipping, scaler and schedules .safetensors: what PyTorch's optimizers,
clip_grad_norm_, GradScaler and lr_scheduler do. PyTorch has no Lion: class Lion below transcribes its paper's program 1.

Made with Python 3.11, torch 2.13.0 (CPU), safetensors 0.8.0, seed 20260801:  python generate.py
Single-tensor implementations (foreach=False, fused=False). Every case starts from the same parameters "a" [12] and "b" [3]
and sees the same gradients; "b" has none in steps where (t % 3) == 1. Recorded are the parameters after the steps RECORDED, as
float32 run ("<case>.<parameter>.f32") and as float64 run ("<case>.<parameter>.f64") on the same float32 inputs.
Clipping: gradients "<gradients>.a" [700], "<gradients>.b" [3, 5] and, for the norms 1, 2, 3 and inf and limits of half and of
twice the norm: "<gradients>.<norm>.<half or twice>.limit", and in float64 "….norm" and the first 40 elements of each after clip_grad_norm_, "….a", "….b".
Schedules: "<case>.rate" [n + 1, 2], the learning rates of two groups with 0.1 and 0.003 after 0 to n steps, and where momentum is
cycled "<case>.momentum" alike; of reduce-on-plateau also the metric that each step was given, "<case>.metric" [n].
"""

import math
import os
import platform

import torch
import torch.optim.lr_scheduler as lr
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


class Lion:
    """arXiv 2302.06675, program 1, with maximize as in PyTorch's optimizers; float64 arithmetic on float64 parameters."""

    def __init__(self, parameters, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, maximize=False):
        self.parameters, self.lr, self.betas = parameters, lr, betas
        self.weight_decay, self.maximize = weight_decay, maximize
        self.moments = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self):
        beta1, beta2 = self.betas
        for p, momentum in zip(self.parameters, self.moments):
            if p.grad is None:
                continue
            gradient = -p.grad if self.maximize else p.grad
            update = torch.sign(momentum * beta1 + gradient * (1 - beta1))
            momentum.copy_(momentum * beta2 + gradient * (1 - beta2))
            p.sub_(self.lr * (update + p * self.weight_decay))


# Cases by file; each file has its own copy of the inputs.
MORE = {
    "rmsprop": {
        "rmsprop": (torch.optim.RMSprop, dict(), 100),
        "rmsprop_decay": (torch.optim.RMSprop, dict(lr=1e-3, alpha=0.9, eps=1e-6, weight_decay=0.1, maximize=True), 100),
        "rmsprop_momentum": (torch.optim.RMSprop, dict(lr=1e-3, momentum=0.9), 100),
        "rmsprop_centered": (torch.optim.RMSprop, dict(lr=1e-3, alpha=0.95, centered=True), 100),
        "rmsprop_both": (torch.optim.RMSprop, dict(lr=1e-3, alpha=0.4, momentum=0.5, centered=True), 100),
    },
    "adagrad": {
        "adagrad": (torch.optim.Adagrad, dict(), 100),
        "adagrad_decay": (torch.optim.Adagrad, dict(lr=0.1, lr_decay=0.05, weight_decay=0.1, maximize=True), 100),
        "adagrad_initial": (torch.optim.Adagrad, dict(lr=0.1, initial_accumulator_value=0.5, eps=1e-6), 100),
    },
    "lion": {
        "lion": (Lion, dict(), 100),
        "lion_decay": (Lion, dict(lr=1e-2, betas=(0.95, 0.98), weight_decay=0.3), 100),
        "lion_maximize": (Lion, dict(lr=1e-3, betas=(0.0, 0.5), maximize=True), 100),
    },
}


def inputs():
    generator = torch.Generator().manual_seed(SEED)
    start = {"a": torch.randn(12, generator=generator), "b": torch.randn(3, generator=generator)}
    unit = torch.randn(1500, 12, generator=generator)
    # Below the largest float32, 3.4e38, whatever the draw.
    wild = unit.clamp(-3, 3) * torch.tensor(SCALES)
    tame = unit * torch.tensor(TAME)
    of_b = torch.randn(1500, 3, generator=generator)
    return {"start.a": start["a"], "start.b": start["b"], "wild": wild, "tame": tame, "of_b": of_b}


def trajectories(cases=CASES):
    tensors = inputs()
    if cases is not CASES:
        tensors = {key: value[:100].clone() for key, value in tensors.items() if key != "tame"}
    of_b = tensors["of_b"]
    for name, (kind, options, steps) in cases.items():
        gradients = tensors["tame" if name == "sgd_clip" else "wild"]
        recorded = RECORDED_LONG if steps > 100 else RECORDED
        for label, dtype in (("f32", torch.float32), ("f64", torch.float64)):
            a, b = (torch.nn.Parameter(tensors[f"start.{k}"].to(dtype).clone()) for k in ("a", "b"))
            single = dict(foreach=False) if kind is not Lion else {}
            if kind not in (Lion, torch.optim.RMSprop):
                single["fused"] = False
            optimizer = kind([a, b], **single, **options)
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


def clipping():
    generator = torch.Generator().manual_seed(SEED)
    a, b = torch.randn(700, generator=generator), torch.randn(3, 5, generator=generator)
    spread = 10 ** (12 * torch.rand(700, generator=generator) - 6)
    sets = {"tame": (a, b), "spread": (a * spread, b * 1e3), "large": (a * 1e20, b * 1e20), "small": (a * 1e-30, b * 1e-25)}
    tensors = {}
    for name, gradients in sets.items():
        tensors.update({f"{name}.a": gradients[0], f"{name}.b": gradients[1]})
        for label, order in (("one", 1.0), ("two", 2.0), ("three", 3.0), ("infinity", math.inf)):
            for place, factor in (("half", 0.5), ("twice", 2.0)):
                parameters = [torch.nn.Parameter(torch.zeros_like(g, dtype=torch.float64)) for g in gradients]
                for parameter, gradient in zip(parameters, gradients):
                    parameter.grad = gradient.double()
                limit = factor * torch.nn.utils.get_total_norm([p.grad for p in parameters], order).item()
                norm = torch.nn.utils.clip_grad_norm_(parameters, limit, norm_type=order)
                case = f"{name}.{label}.{place}"
                tensors[f"{case}.limit"] = torch.tensor(limit, dtype=torch.float64)
                tensors[f"{case}.norm"] = norm
                for key, parameter in zip("ab", parameters):
                    tensors[f"{case}.{key}"] = parameter.grad.flatten()[:40].clone()
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


# Schedule by case: (optimizer, steps, the schedule of an optimizer).
SGD, ADAM = torch.optim.SGD, torch.optim.AdamW
SCHEDULES = {
    "step": (SGD, 400, lambda o: lr.StepLR(o, step_size=30, gamma=0.7)),
    "multi_step": (SGD, 400, lambda o: lr.MultiStepLR(o, milestones=[300, 7, 50, 50, 120], gamma=0.3)),
    "exponential": (SGD, 400, lambda o: lr.ExponentialLR(o, gamma=0.97)),
    "cosine": (SGD, 300, lambda o: lr.CosineAnnealingLR(o, T_max=300)),
    "cosine_minimum": (SGD, 400, lambda o: lr.CosineAnnealingLR(o, T_max=40, eta_min=1e-3)),
    "restarts": (SGD, 400, lambda o: lr.CosineAnnealingWarmRestarts(o, T_0=35, eta_min=1e-4)),
    "restarts_growing": (SGD, 400, lambda o: lr.CosineAnnealingWarmRestarts(o, T_0=11, T_mult=2)),
    "one_cycle": (SGD, 399, lambda o: lr.OneCycleLR(o, max_lr=RATES, total_steps=400)),
    "one_cycle_adam": (
        ADAM,
        299,
        lambda o: lr.OneCycleLR(
            o, RATES, 300, pct_start=0.213, anneal_strategy="linear", base_momentum=0.7, max_momentum=0.9, div_factor=7.0
        ),
    ),
    "one_cycle_three": (
        ADAM,
        249,
        lambda o: lr.OneCycleLR(o, RATES, 250, pct_start=0.4, final_div_factor=100.0, three_phase=True),
    ),
    "one_cycle_no_rise": (SGD, 49, lambda o: lr.OneCycleLR(o, RATES, 50, pct_start=0.0, cycle_momentum=False)),
    "warm_up": (SGD, 400, lambda o: lr.LinearLR(o, start_factor=1e-3, total_iters=250)),
    "warm_up_falling": (SGD, 100, lambda o: lr.LinearLR(o, start_factor=0.9, end_factor=0.2, total_iters=60)),
    "polynomial": (SGD, 400, lambda o: lr.PolynomialLR(o, total_iters=350, power=2.5)),
    "polynomial_linear": (SGD, 300, lambda o: lr.PolynomialLR(o, total_iters=300)),
    "sequential": (
        SGD,
        400,
        lambda o: lr.SequentialLR(o, [lr.LinearLR(o, 0.01, total_iters=50), lr.CosineAnnealingLR(o, 350)], [50]),
    ),
    "sequential_four": (
        SGD,
        400,
        lambda o: lr.SequentialLR(
            o,
            [
                lr.LinearLR(o, 0.25, total_iters=20),
                lr.StepLR(o, 15, 0.5),
                lr.CosineAnnealingWarmRestarts(o, 25, 2),
                lr.ExponentialLR(o, 0.99),
            ],
            [20, 100, 250],
        ),
    ),
}
PLATEAUS = {
    "plateau": dict(factor=0.3, patience=3),
    "plateau_max": dict(mode="max", factor=0.5, patience=2, cooldown=4, threshold=0.01, min_lr=1e-4),
    "plateau_absolute": dict(factor=0.1, patience=0, threshold=0.05, threshold_mode="abs", cooldown=1, eps=1e-6),
    "plateau_max_absolute": dict(mode="max", factor=0.9, patience=5, threshold=0.002, threshold_mode="abs"),
}
RATES = [0.1, 0.003]


def schedules():
    tensors = {}

    def optimizer(kind):
        groups = [dict(params=[torch.nn.Parameter(torch.zeros(1))], lr=rate) for rate in RATES]
        return kind(groups, lr=RATES[0])

    def column(o, key):
        return [(group["betas"][0] if key == "momentum" and "betas" in group else group[key]) for group in o.param_groups]

    for name, (kind, steps, make) in SCHEDULES.items():
        o = optimizer(kind)
        schedule = make(o)
        rates, momenta = [column(o, "lr")], [column(o, "momentum")]
        for _ in range(steps):
            o.step()
            schedule.step()
            rates.append(column(o, "lr"))
            momenta.append(column(o, "momentum"))
        tensors[f"{name}.rate"] = torch.tensor(rates, dtype=torch.float64)
        if name.startswith("one_cycle") and name != "one_cycle_no_rise":
            tensors[f"{name}.momentum"] = torch.tensor(momenta, dtype=torch.float64)

    generator = torch.Generator().manual_seed(SEED)
    for name, options in PLATEAUS.items():
        o = optimizer(SGD)
        schedule = lr.ReduceLROnPlateau(o, **options)
        # A curve that levels off, with noise, a NaN and an infinity.
        trend = torch.exp(-torch.arange(200, dtype=torch.float64) / 25)
        metric = trend + 0.02 * torch.randn(200, generator=generator, dtype=torch.float64)
        metric = 1 - metric if options.get("mode") == "max" else metric
        metric[40], metric[41] = math.nan, math.inf if options.get("mode") != "max" else -math.inf
        rates = [column(o, "lr")]
        for value in metric:
            schedule.step(value.item())
            rates.append(column(o, "lr"))
        tensors[f"{name}.metric"] = metric
        tensors[f"{name}.rate"] = torch.tensor(rates, dtype=torch.float64)
    return tensors


made_with = {"generator": f"Python {platform.python_version()}, torch {torch.__version__}, seed {SEED}"}
save_file(trajectories(), os.path.join(HERE, "trajectories.safetensors"), metadata=made_with)
for file, cases in MORE.items():
    save_file(trajectories(cases), os.path.join(HERE, f"{file}.safetensors"), metadata=made_with)
save_file(clipping(), os.path.join(HERE, "clipping.safetensors"), metadata=made_with)
save_file(scaler_sequences(), os.path.join(HERE, "scaler.safetensors"), metadata=made_with)
save_file(schedules(), os.path.join(HERE, "schedules.safetensors"), metadata=made_with)
