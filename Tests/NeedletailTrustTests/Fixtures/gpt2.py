"""Writes gpt2/: a small random GPT-2 as transformers saves one (config.json, model.safetensors), and expected.safetensors, what
transformers and PyTorch make of it in float64:

  tokens [2, 24], logits of some places (`logits.places`, flat) with `logits.scale` = |f| + Σ |∂f/∂θ| |θ| over all parameters,
  loss of the tokens that follow, its gradients `gradient.<name>`;
  greedy [20], the likeliest continuation of tokens[0, :8];
  batches [steps, 4, 33] and losses [steps] of training on them: AdamW, learning rate 1e-3, betas 0.9 and 0.99, weight decay 0.1
  on matrices only, gradients clipped at norm 1.

Made with Python 3.11, torch 2.13.0 (CPU), transformers 5.23.0, safetensors 0.8.0:  python Tests/NeedletailTrustTests/Fixtures/gpt2.py
"""

import json
import os

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gpt2")
SEED, STEPS = 20261123, 120


def text(count, generator):
    """Tokens with something to learn in them: each is mostly a function of the one before."""
    follow = torch.randint(0, 65, (65, 2), generator=generator)
    tokens, token = [], 0
    choices = torch.randint(0, 10, (count,), generator=generator)
    others = torch.randint(0, 65, (count,), generator=generator)
    for choice, other in zip(choices.tolist(), others.tolist()):
        token = other if choice == 0 else follow[token, choice % 2].item()
        tokens.append(token)
    return torch.tensor(tokens)


def main():
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    config = GPT2Config(
        vocab_size=65, n_positions=32, n_embd=32, n_layer=2, n_head=2, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        initializer_range=0.1, attn_implementation="eager",
    )
    model = GPT2LMHeadModel(config)
    with torch.no_grad():  # none of them zero or one, so that each is seen
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(FOLDER)
    model = model.double().train()

    tokens = torch.randint(0, 65, (2, 24), generator=generator)
    logits = model(tokens).logits
    places = torch.randint(0, logits.numel(), (24,), generator=generator)
    parameters = dict(model.named_parameters())
    scales = []
    for place in places:
        gradients = torch.autograd.grad(logits.flatten()[place], list(parameters.values()), retain_graph=True)
        size = sum((g * p).abs().sum() for g, p in zip(gradients, parameters.values()))
        scales.append(logits.flatten()[place].abs() + size)
    out = {"tokens": tokens, "logits.places": places, "logits": logits.flatten()[places].detach()}
    out["logits.scale"] = torch.stack(scales).detach()
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].reshape(-1, 65), tokens[:, 1:].reshape(-1))
    out["loss"] = loss.detach().reshape(1)
    for (name, parameter), gradient in zip(parameters.items(), torch.autograd.grad(loss, list(parameters.values()))):
        out["gradient." + name] = gradient.contiguous()

    row = tokens[0, :8].tolist()
    for _ in range(20):
        row.append(model(torch.tensor([row])).logits[0, -1].argmax().item())
    out["greedy"] = torch.tensor(row[8:])

    stream = text(STEPS * 4 * 33, generator).reshape(STEPS, 4, 33)
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=1e-3, betas=(0.9, 0.99)
    )
    losses = []
    for batch in stream:
        logits = model(batch[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, 65), batch[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    out["batches"], out["losses"] = stream.to(torch.uint8).contiguous(), torch.tensor(losses, dtype=torch.float64)
    save_file(out, os.path.join(FOLDER, "expected.safetensors"))
    for extra in os.listdir(FOLDER):
        if extra not in ("config.json", "model.safetensors", "expected.safetensors"):
            os.remove(os.path.join(FOLDER, extra))
    with open(os.path.join(FOLDER, "config.json")) as file:
        description = json.load(file)
    with open(os.path.join(FOLDER, "config.json"), "w") as file:  # by name, so that it is the same each time
        json.dump(description, file, indent=2, sort_keys=True)
        file.write("\n")
    print(f"{FOLDER}: losses {losses[0]:.4f} to {sum(losses[-20:]) / 20:.4f}")


if __name__ == "__main__":
    main()
