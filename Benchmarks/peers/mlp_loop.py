"""PyTorch's plain training loop on the tutorial's job: 784-128-256-10, Adam 1e-3, batch 64, data held in memory as tensors.

Prints one JSON object: settings, samples_per_second, seconds_to_first_step (since the process started), peak_rss_bytes,
test_accuracy, last_loss. The rate leaves out the start and the test.
"""

import argparse
import json
import os
import sys
import time

import torch

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "Tests", "parity"))
from process import peak_rss_bytes, seconds_since_start  # noqa: E402
from tutorial import TutorialModel, load_training_set, read_idx  # noqa: E402


def scaled(images):
    return (images.float() / 255 - 0.2860) / 0.3530


def load_test_set(directory):
    images = read_idx(directory, "t10k-images-idx3-ubyte")
    labels = read_idx(directory, "t10k-labels-idx1-ubyte")
    return scaled(torch.from_numpy(images.reshape(len(images), -1).copy())), torch.from_numpy(labels.astype("int64"))


def parse_arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of the four IDX files")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="bf16 and fp16: autocast")
    parser.add_argument("--fused", action="store_true", help="fused Adam")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--hidden", default="128,256", help="widths of the hidden layers, with commas between")
    parser.add_argument("--samples", type=int, default=55000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main():
    options = parse_arguments(__doc__)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    images, labels = load_training_set(options.data)
    inputs, labels = scaled(images[: options.samples]), labels[: options.samples]
    model = TutorialModel([784, *map(int, options.hidden.split(",")), 10])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=options.fused)
    half = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[options.precision]
    scaler = torch.amp.GradScaler("cpu", enabled=half == torch.float16)
    first_step = None

    def epoch():
        nonlocal first_step
        order = torch.randperm(len(inputs))
        for start in range(0, len(inputs), options.batch_size):
            rows = order[start : start + options.batch_size]
            x, y = inputs[rows], labels[rows]
            with torch.autocast("cpu", dtype=half, enabled=half is not None):
                loss = torch.nn.functional.nll_loss(model(x), y)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            if first_step is None:
                first_step = seconds_since_start()
        return loss.item()

    start = time.perf_counter()
    for _ in range(options.epochs):
        last_loss = epoch()
    elapsed = time.perf_counter() - start
    x, y = load_test_set(options.data)
    with torch.no_grad():
        accuracy = (model(x).argmax(dim=1) == y).float().mean().item()
    result = {
        "precision": options.precision,
        "fused": options.fused,
        "threads": options.threads,
        "epochs": options.epochs,
        "samples_per_second": options.epochs * len(inputs) / elapsed,
        "seconds_to_first_step": first_step,
        "peak_rss_bytes": peak_rss_bytes(),
        "test_accuracy": accuracy,
        "last_loss": last_loss,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
