"""Lightning's Trainer on the job of mlp_loop.py, stripped of everything that costs time: no logger, checkpoints, bar or summary.

Batches are slices of tensors in memory, made by the loader itself without workers and without collating: the fastest data path
found. Prints the same JSON object as mlp_loop.py. On a CPU Lightning replaces 16-mixed by bf16-mixed, so fp16 is refused here.
"""

import json
import logging
import os
import sys
import time
import warnings

import torch

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "Tests", "parity"))
import lightning  # noqa: E402
from mlp_loop import load_test_set, parse_arguments, scaled  # noqa: E402
from process import peak_rss_bytes, seconds_since_start  # noqa: E402
from tutorial import TutorialModel, load_training_set  # noqa: E402


class Batches(torch.utils.data.IterableDataset):
    """Shuffled batches: one indexing operation each."""

    def __init__(self, inputs, labels, batch_size):
        self.inputs, self.labels, self.batch_size = inputs, labels, batch_size

    def __len__(self):
        return -(-len(self.inputs) // self.batch_size)

    def __iter__(self):
        order = torch.randperm(len(self.inputs))
        for start in range(0, len(self.inputs), self.batch_size):
            rows = order[start : start + self.batch_size]
            yield self.inputs[rows], self.labels[rows]


class Classifier(lightning.LightningModule):
    def __init__(self, hidden, fused):
        super().__init__()
        self.model = TutorialModel([784, *hidden, 10])
        self.fused = fused
        self.first_step = None
        self.seconds = 0.0

    def training_step(self, batch, index):
        x, y = batch
        return torch.nn.functional.nll_loss(self.model(x), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3, fused=self.fused)

    def on_train_batch_end(self, outputs, batch, index):
        if self.first_step is None:
            self.first_step = seconds_since_start()
        self.last_loss = outputs["loss"]

    def on_train_epoch_start(self):
        self.started = time.perf_counter()

    def on_train_epoch_end(self):
        self.seconds += time.perf_counter() - self.started


def main():
    options = parse_arguments(__doc__)
    if options.precision == "fp16":
        raise SystemExit("Lightning has no 16-mixed on a CPU: it would run bf16-mixed instead")
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    images, labels = load_training_set(options.data)
    inputs, labels = scaled(images[: options.samples]), labels[: options.samples]
    loader = torch.utils.data.DataLoader(Batches(inputs, labels, options.batch_size), batch_size=None)
    module = Classifier(map(int, options.hidden.split(",")), options.fused)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=options.epochs,
        precision={"fp32": "32-true", "bf16": "bf16-mixed"}[options.precision],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    x, y = load_test_set(options.data)
    with torch.no_grad():
        accuracy = (module.model(x).argmax(dim=1) == y).float().mean().item()
    result = {
        "precision": options.precision,
        "fused": options.fused,
        "threads": options.threads,
        "epochs": options.epochs,
        "samples_per_second": options.epochs * len(inputs) / module.seconds,
        "seconds_to_first_step": module.first_step,
        "peak_rss_bytes": peak_rss_bytes(),
        "test_accuracy": accuracy,
        "last_loss": float(module.last_loss),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
