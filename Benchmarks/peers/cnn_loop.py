"""PyTorch's plain training loop of the CNN of `needletail train --model cnn`: Adam 1e-3, batch 64, data held in memory as tensors.

Prints one JSON object as mlp_loop.py does. The fastest settings: fused Adam, and channels-last where asked for.
"""

import argparse
import json
import os
import sys
import time

import torch
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "Tests", "parity"))
from mlp_loop import scaled  # noqa: E402
from process import peak_rss_bytes, seconds_since_start  # noqa: E402
from tutorial import read_idx  # noqa: E402


def network():
    """conv 32 - conv 64 - pool - conv 128 + batch norm - pool - linear 256 - dropout - linear 10."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128 * 7 * 7, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 10),
    )  # fmt: skip


def images_of(directory, part, channels_last):
    images = read_idx(directory, f"{part}-images-idx3-ubyte")
    labels = torch.from_numpy(read_idx(directory, f"{part}-labels-idx1-ubyte").astype("int64"))
    inputs = scaled(torch.from_numpy(images.copy())).unsqueeze(1)
    return inputs.to(memory_format=torch.channels_last) if channels_last else inputs, labels


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of the four IDX files")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="bf16 and fp16: autocast")
    parser.add_argument("--fused", action="store_true", help="fused Adam")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--samples", type=int, default=55000, help="images of an epoch")
    parser.add_argument("--no-test", action="store_true", help="leave out the test, which takes a while")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    inputs, labels = images_of(options.data, "train", options.channels_last)
    inputs, labels = inputs[: options.samples], labels[: options.samples]
    model = network()
    if options.channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=options.fused)
    half = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[options.precision]
    scaler = torch.amp.GradScaler("cpu", enabled=half == torch.float16)
    first_step, clocks = None, []
    for _ in range(options.epochs):
        order = torch.randperm(len(inputs))
        for start in range(0, len(inputs), options.batch_size):
            before = time.perf_counter()
            rows = order[start : start + options.batch_size]
            x, y = inputs[rows], labels[rows]
            if options.channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=half, enabled=half is not None):
                loss = torch.nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            after = time.perf_counter()
            clocks.append((after - before) / len(rows))
            first_step = first_step or seconds_since_start()
    clocks.sort()
    result = {
        "precision": options.precision,
        "fused": options.fused,
        "channels_last": options.channels_last,
        "threads": options.threads,
        "epochs": options.epochs,
        "samples_per_second": 1 / clocks[len(clocks) // 2],
        "seconds_to_first_step": first_step,
        "peak_rss_bytes": peak_rss_bytes(),
        "last_loss": loss.item(),
    }
    if not options.no_test:
        model.eval()
        x, y = images_of(options.data, "t10k", options.channels_last)
        with torch.no_grad():
            parts = [(model(x[i : i + 1000]).argmax(dim=1) == y[i : i + 1000]).sum().item() for i in range(0, len(x), 1000)]
        result["test_accuracy"] = sum(parts) / len(x)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
