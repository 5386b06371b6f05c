"""Makes Tests/NeedletailCLITests/Fixtures/digits_parity: a PyTorch run on the digits, for the test without PyTorch.

64-24-16-10, Adam 1e-3, batch 64, x = pixel / 16, 300 steps, from PyTorch's own initial weights. Batches are the 1,437 training
rows in file order, again and again: 22 whole ones and a ragged one of 29 an epoch. Written: init.safetensors (float32),
step10.safetensors (float64, parameters after step 10), and losses.json: versions, seed, and the losses of each step in float64
and float32, in bf16-mixed (autocast) and in 16-mixed (autocast with GradScaler, which skips no step: its last scale is the
first). Made with torch 2.13.0 and scikit-learn 1.9.1, seed 1.
Run: python Tests/parity/make_digits_fixture.py
"""

import json
import os

import sklearn
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits

from tutorial import TutorialModel, train_in_order

SIZES = [64, 24, 16, 10]
SEED = 1
STEPS = 300
MODES = {
    "float64": (torch.float64, None),
    "float32": (torch.float32, None),
    "bf16-mixed": (torch.float32, torch.bfloat16),
    "16-mixed": (torch.float32, torch.float16),
}


def main():
    folder = os.path.join(os.path.dirname(__file__), "..", "NeedletailCLITests", "Fixtures", "digits_parity")
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    initial = TutorialModel(SIZES)
    pixels, labels = load_digits(return_X_y=True)
    rows = [row for row in range(len(pixels)) if row % 5 != 0]  # Needletail's training rows
    pixels, labels = torch.from_numpy(pixels[rows]), torch.from_numpy(labels[rows]).long()

    save_file(initial.state_dict(), os.path.join(folder, "init.safetensors"))
    losses = {}
    for name, (dtype, autocast) in MODES.items():
        model = TutorialModel(SIZES).to(dtype)
        model.load_state_dict(initial.state_dict())
        scaler = torch.amp.GradScaler("cpu", enabled=autocast == torch.float16)
        losses[name], _, snapshots = train_in_order(
            model, (pixels / 16).to(dtype), labels, STEPS, snapshot_steps=(10,), autocast=autocast, scaler=scaler
        )
        assert scaler.get_scale() == (65536 if autocast == torch.float16 else 1)
        if name == "float64":
            save_file(snapshots[10], os.path.join(folder, "step10.safetensors"))
    record = {"torch": torch.__version__, "scikit_learn": sklearn.__version__, "seed": SEED, "losses": losses}
    with open(os.path.join(folder, "losses.json"), "w") as file:
        json.dump(record, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
