"""Writes types.safetensors and net.safetensors: a file of every data type, and a PyTorch model with an input and its output.

Made with Python 3.11, torch 2.13.0 (CPU), safetensors 0.8.0, seed 20260801:  python generate.py
"""

import os

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(20260801)


def types():
    values = torch.randn(7)
    tensors = {
        "f64": values.double().reshape(7, 1),
        "f32": values,
        "f16": values.half()[:5],
        "bf16": values.bfloat16()[:3],
        "i64": torch.tensor([-(2**63), -1, 0, 2**63 - 1]),
        "i32": torch.tensor([-(2**31), 7, 2**31 - 1], dtype=torch.int32),
        "u8": torch.tensor([[0, 255, 3]], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True, True, False]),
        "scalar": torch.tensor(1.5),
        "empty": torch.zeros(0, 4),
        'naïve "名前"\\/\n\t\x01\x7f😀': torch.tensor([1.0]),
        "B": torch.tensor([2.0]),
        "a": torch.tensor([3.0]),
    }
    save_file(tensors, os.path.join(HERE, "types.safetensors"), metadata={"note": 'tab\t "quoted" é\x0b'})


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(5))
        self.layer1 = torch.nn.Linear(6, 5)
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(5, 5), torch.nn.Linear(5, 5, bias=False)])
        self.net = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(5, 4), torch.nn.GELU(), torch.nn.Dropout(0.5), torch.nn.Linear(4, 3)
        )

    def forward(self, x):
        x = torch.relu(self.layer1(x)) * self.scale
        for block in self.blocks:
            x = x + block(x)
        return self.net(x)


def net():
    model = Net().eval()
    x = torch.randn(4, 6)
    tensors = {f"state.{name}": value for name, value in model.state_dict().items()}
    tensors["x"] = x
    tensors["y"] = model.double()(x.double()).detach()
    # The order of named_parameters() is part of the fixture.
    names = ",".join(name for name, _ in model.named_parameters())
    save_file(tensors, os.path.join(HERE, "net.safetensors"), metadata={"names": names})


types()
net()
