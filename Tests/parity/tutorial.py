"""The tutorial's model in PyTorch: an MLP with ReLU, log-softmax + NLL, Adam 1e-3. Read by the parity and peer scripts."""

import gzip
import os
import struct

import numpy as np
import torch


def read_idx(directory, name):
    """The array of an IDX file of unsigned bytes, gzipped or not."""
    path = os.path.join(directory, name)
    opener = open if os.path.exists(path) else gzip.open
    with opener(path if opener is open else path + ".gz", "rb") as file:
        data = file.read()
    zero, kind, rank = struct.unpack(">HBB", data[:4])
    if zero != 0 or kind != 8:
        raise SystemExit(f"{path}: not an IDX file of unsigned bytes")
    shape = struct.unpack(">" + "I" * rank, data[4 : 4 + 4 * rank])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load_training_set(directory):
    """Images [60000, 784] as bytes and labels [60000] as int64."""
    images = read_idx(directory, "train-images-idx3-ubyte")
    labels = read_idx(directory, "train-labels-idx1-ubyte")
    return torch.from_numpy(images.reshape(len(images), -1).copy()), torch.from_numpy(labels.astype(np.int64))


class TutorialModel(torch.nn.Module):
    """Linear layers named layer1, layer2, ... as Needletail's command names them, with ReLU between them."""

    def __init__(self, sizes):
        super().__init__()
        self.depth = len(sizes) - 1
        for index in range(self.depth):
            setattr(self, f"layer{index + 1}", torch.nn.Linear(sizes[index], sizes[index + 1]))

    def forward(self, x):
        for index in range(self.depth):
            x = getattr(self, f"layer{index + 1}")(x)
            if index + 1 < self.depth:
                x = torch.relu(x)
        return torch.log_softmax(x, dim=1)


def train_in_order(
    model, inputs, labels, steps, batch_size=64, learning_rate=1e-3, snapshot_steps=(), autocast=None, scaler=None
):
    """Adam over consecutive batches, starting again at the first row after the last; a ragged last batch counts.

    With `autocast`, a 16-bit type, the forward pass is PyTorch's autocast to it, the loss float32. `scaler`: a GradScaler.
    Returns the losses, the (unscaled) gradients of the first step and the parameters after each of `snapshot_steps`.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    losses, first_gradients, snapshots = [], {}, {}
    start = 0
    for step in range(1, steps + 1):
        if start >= len(inputs):
            start = 0
        rows = slice(start, start + batch_size)
        start += batch_size
        with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
            outputs = model(inputs[rows])
            loss = torch.nn.functional.nll_loss(outputs.float() if autocast else outputs, labels[rows])
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        if step == 1:
            first_gradients = {name: p.grad.detach().clone() for name, p in model.named_parameters()}
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
        if step in snapshot_steps:
            snapshots[step] = {name: p.detach().clone() for name, p in model.named_parameters()}
    return losses, first_gradients, snapshots


def first_gradients_in_autocast(model, inputs, labels, dtype, batch_size=64):
    """The gradients of the first batch as PyTorch's autocast computes them, with a float32 loss and no loss scale."""
    with torch.autocast("cpu", dtype=dtype):
        loss = torch.nn.functional.nll_loss(model(inputs[:batch_size]).float(), labels[:batch_size])
    model.zero_grad()
    loss.backward()
    return {name: p.grad.detach().clone() for name, p in model.named_parameters()}
