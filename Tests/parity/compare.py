"""Needletail against PyTorch, end to end: the tutorial's model from equal initial weights, in equal batch order.

784-128-256-10, Adam 1e-3, batch 64, x = byte / 255, all 60,000 images in file order. Checked, per precision:
  losses of the first 10 steps against float64: 1e-6 (32-true); weights after step 10: 1e-5 relative (32-true), each tensor's
  error norm over its norm; gradients of step 1, read from Adam's first moment, relative in the same sense: 4e-2 (bf16),
  1.6e-2 (fp16), or a tenth above PyTorch's own error in that type, because with an unlucky seed the ReLUs that 16-bit rounding
  flips cost every implementation more (seed 1, bf16, layer1.weight: 5.8e-2 in PyTorch); means of 100 losses: 4% (32-true), 5% (16 bit). After those first steps one flipped ReLU or Adam sign makes
  single losses a matter of chance, therefore means. 16-mixed over 3 epochs: no step skipped, scale doubled at step 2000.
Run by `make parity PYTHON=...` after `swift build -c release`; needs torch, numpy, safetensors.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

from tutorial import TutorialModel, first_gradients_in_autocast, load_training_set, train_in_order

SIZES = [784, 128, 256, 10]
STEPS = 938  # one epoch of 60,000 in batches of 64, the last one ragged
GRADIENT_BOUNDS = {"32-true": 1e-5, "bf16-mixed": 4e-2, "16-mixed": 1.6e-2}
AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
MEAN_BOUNDS = {"32-true": 0.04, "bf16-mixed": 0.05, "16-mixed": 0.05}

failures = 0


def check(label, error, bound):
    """Prints one line; an error that is NaN fails."""
    global failures
    ok = error <= bound
    failures += not ok
    print(f"{'ok  ' if ok else 'FAIL'} {label}: {error:.3g} (bound {bound:.3g})")


def relative(ours, reference):
    ours, reference = ours.double(), reference.double()
    return ((ours - reference).norm() / reference.norm()).item()


def run_needletail(options, folder, precision, steps):
    """The losses, the step events and the checkpoint's folder of a run of `steps` steps."""
    metrics = os.path.join(folder, f"{precision}-{steps}.jsonl")
    checkpoint = os.path.join(folder, f"{precision}-{steps}")
    command = [options.needletail, "train", "--data", options.data, "--validation", "0", "--scaling", "unit"]
    command += ["--no-shuffle", "--init", os.path.join(folder, "init.safetensors"), "--precision", precision]
    command += ["--epochs", "3", "--max-steps", str(steps), "--metrics", metrics, "--checkpoint", checkpoint]
    subprocess.run(command, check=True, capture_output=True)
    with open(metrics) as file:
        events = [json.loads(line) for line in file]
    steps_seen = [event for event in events if event["event"] == "step"]
    return [event["loss"] for event in steps_seen], steps_seen, os.path.join(checkpoint, "last")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--needletail", default=".build/release/needletail")
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of the four IDX files")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.needletail = os.path.abspath(options.needletail)
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    initial = TutorialModel(SIZES)
    images, labels = load_training_set(options.data)

    results = {}
    for dtype in (torch.float64, torch.float32):
        model = TutorialModel(SIZES).to(dtype)
        model.load_state_dict(initial.state_dict())
        # Divided in the type itself: byte / 255 rounded once.
        results[dtype] = train_in_order(model, images.to(dtype) / 255, labels, STEPS, snapshot_steps=(10,))
    losses64, gradients64, snapshots64 = results[torch.float64]
    losses32 = results[torch.float32][0]

    with tempfile.TemporaryDirectory() as folder:
        save_file(initial.state_dict(), os.path.join(folder, "init.safetensors"))
        for precision in ("32-true", "bf16-mixed", "16-mixed"):
            losses, _, _ = run_needletail(options, folder, precision, STEPS)
            if precision == "32-true":
                worst = max(abs(a - b) for a, b in zip(losses[:10], losses64[:10]))
                check("32-true losses of the first 10 steps", worst, 1e-6)
                _, _, checkpoint = run_needletail(options, folder, precision, 10)
                weights = load_file(os.path.join(checkpoint, "model.safetensors"))
                for name, reference in snapshots64[10].items():
                    check(f"32-true {name} after step 10", relative(weights[name], reference), 1e-5)
            _, _, checkpoint = run_needletail(options, folder, precision, 1)
            moments = load_file(os.path.join(checkpoint, "optimizer.safetensors"))
            peer = {}
            if precision in AUTOCAST:
                model = TutorialModel(SIZES)
                model.load_state_dict(initial.state_dict())
                peer = first_gradients_in_autocast(model, images[:64].float() / 255, labels[:64], AUTOCAST[precision])
            for name, reference in gradients64.items():
                bound = GRADIENT_BOUNDS[precision]
                if peer:
                    bound = max(bound, 1.1 * relative(peer[name], reference))
                (moment,) = [value for key, value in moments.items() if key.endswith(f"{name}.exp_avg")]
                error = relative(moment / (1 - 0.9), reference)
                check(f"{precision} {name} gradient of step 1", error, bound)
            for start in range(0, STEPS - 99, 100):
                ours = sum(losses[start : start + 100]) / 100
                theirs = sum(losses32[start : start + 100]) / 100
                label = f"{precision} mean loss of steps {start + 1} to {start + 100}"
                check(label, abs(ours - theirs) / theirs, MEAN_BOUNDS[precision])
        _, events, _ = run_needletail(options, folder, "16-mixed", 3 * STEPS)
        check("16-mixed steps skipped in 3 epochs", sum(not event["applied"] for event in events), 0)
        scales = [event["scale"] for event in events]
        check("16-mixed scale before step 2000", abs(scales[1998] - 65536), 0)
        check("16-mixed scale after step 2000", abs(scales[2000] - 131072), 0)

    print(f"torch {torch.__version__}, seed {options.seed}: {failures} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
