"""A GPT trained by PyTorch as fast as it can on a CPU: scaled_dot_product_attention, fused AdamW, tied head, no dropout.

  python gpt_loop.py --data input.txt --precision bf16-mixed --steps 4      one JSON line: tokens a second, peak memory, losses

Both engines' shapes: layers 6, heads 6, width 384, context 256, batch 16. bf16-mixed is autocast.
"""

import argparse
import json
import resource
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.c_fc, self.c_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, rows, width = x.shape
        q, k, v = self.c_attn(self.ln_1(x)).view(batch, rows, 3 * self.heads, -1).transpose(1, 2).chunk(3, 1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(batch, rows, width))
        return x + self.c_out(F.gelu(self.c_fc(self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, vocabulary, context, layers, heads, width):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)
            elif parameter.dim() == 1 and parameter.mean() != 1:
                nn.init.zeros_(parameter)

    def loss(self, x, targets):
        y = self.wte(x) + self.wpe.weight[: x.shape[1]]
        for block in self.blocks:
            y = block(y)
        logits = self.ln_f(y) @ self.wte.weight.t()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--precision", default="32-true", choices=["32-true", "bf16-mixed"])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    o = parser.parse_args()

    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    text = open(o.data, encoding="utf-8").read()
    places = {c: i for i, c in enumerate(sorted(set(text)))}
    tokens = torch.tensor([places[c] for c in text])
    model = GPT(len(places), o.context, o.layers, o.heads, o.width)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), fused=True)
    losses, seconds = [], []
    for _ in range(o.steps + 1):  # the first is not counted
        start = time.perf_counter()
        at = torch.randint(len(tokens) - o.context - 1, (o.batch,))
        x = torch.stack([tokens[i : i + o.context] for i in at])
        y = torch.stack([tokens[i + 1 : i + o.context + 1] for i in at])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=o.precision == "bf16-mixed"):
            loss = model.loss(x, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        losses.append(loss.item())
    rates = [o.batch * o.context / s for s in seconds[1:]]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"rates": rates, "peak_rss_bytes": peak, "losses": losses}))


if __name__ == "__main__":
    main()
