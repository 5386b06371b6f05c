"""The loss curve of a GPT as PyTorch (transformers' GPT-2, float32) and Needletail train it, from the same weights and batches.

  python gpt_losses.py --needletail .build/release/needletail --data input.txt --steps 100 --precisions 32-true bf16-mixed 16-mixed

6 layers, 6 heads, width 384, context 256, batch 16, AdamW at 1e-3 without a schedule, gradients clipped at norm 1. Prints the means of
--window steps and their distance; issue 8 asks for 3% in 32-true and 5% in 16 bit. With --curves FILE, curves of as many steps that the
file has are taken from it, and all are kept there.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import pictures  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--needletail", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--window", type=int, default=100)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--precisions", nargs="*", default=["32-true", "bf16-mixed", "16-mixed"])
    parser.add_argument("--curves", help="JSON file of the curves found so far")
    parser.add_argument("--picture", help="SVG file to draw the curves in")
    o = parser.parse_args()
    o.needletail, o.data = os.path.abspath(o.needletail), os.path.abspath(o.data)
    from transformers import GPT2Config, GPT2LMHeadModel

    curves = {}
    if o.curves and os.path.exists(o.curves):
        with open(o.curves) as file:
            curves = {name: curve for name, curve in json.load(file).items() if len(curve) == o.steps}

    def find(name, train):
        if name in curves:
            return
        start = time.time()
        curves[name] = train()
        print(f"{name}: {len(curves[name])} steps in {time.time() - start:.0f} s", flush=True)
        if o.curves:
            with open(o.curves, "w") as file:
                json.dump(curves, file)

    torch.set_num_threads(1)
    torch.manual_seed(1)
    text = open(o.data, encoding="utf-8", newline="").read()
    places = {c: i for i, c in enumerate(sorted(set(text)))}
    tokens = torch.tensor([places[c] for c in text])
    config = GPT2Config(
        vocab_size=len(places), n_positions=256, n_embd=o.width, n_layer=o.layers, n_head=6, resid_pdrop=0, embd_pdrop=0,
        attn_pdrop=0, activation_function="gelu",
    )
    model = GPT2LMHeadModel(config)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        for precision in o.precisions:
            find(precision, lambda: needletail(o, precision, folder))
    find("PyTorch", lambda: pytorch(o, model, tokens))
    names = ["PyTorch"] + o.precisions
    for first in range(0, o.steps, o.window):
        means = {name: statistics.mean(curves[name][first : first + o.window]) for name in names}
        line = [f"steps {first} to {min(first + o.window, o.steps) - 1}: PyTorch {means['PyTorch']:.4f}"]
        line += [f"{name} {means[name]:.4f} ({100 * (means[name] / means['PyTorch'] - 1):+.3f}%)" for name in o.precisions]
        print(", ".join(line))
    if o.picture:
        subtitle = f"{o.layers} layers, width {o.width}, context 256, batch 16: the same weights and batches"
        shown = {"PyTorch, float32" if name == "PyTorch" else f"Needletail, {name}": curves[name] for name in names}
        pictures.curves(o.picture, "Loss of a GPT on tinyshakespeare", subtitle, shown)


def needletail(o, precision, folder):
    metrics = os.path.join(folder, precision + ".jsonl")
    command = [
        o.needletail, "train", "--model", "gpt", "--data", o.data, "--init", folder + "/model.safetensors", "--precision", precision,
        "--layers", str(o.layers), "--width", str(o.width), "--no-shuffle", "--quiet", "--threads", "1", "--epochs", "10", "--max-steps",
        str(o.steps), "--warmup-steps", "0", "--schedule", "constant", "--limit-val-batches", "0", "--num-sanity-val-steps", "0",
        "--metrics", metrics,
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    events = [json.loads(line) for line in open(metrics)]
    return [event["loss"] for event in events if event["event"] == "step"]


def pytorch(o, model, tokens):
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), fused=True)
    training = tokens[: len(tokens) - len(tokens) // 10]
    windows = (len(training) - 257) // 256 + 1
    order = [list(range(i, min(i + 16, windows))) for i in range(0, windows, 16)]
    losses = []
    for step in range(o.steps):
        rows = torch.stack([training[w * 256 : w * 256 + 257] for w in order[step % len(order)]])
        logits = model(rows[:, :-1]).logits
        loss = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    main()
