#!/usr/bin/python3
"""Makes the tiny pair that the README and the demo use. Needs python3-torch.

checkpoint.pth     what a training run under DistributedDataParallel left: keys begin with `module.`, five classes
model.safetensors  the model that is to load it: bare names, ten classes
error.txt          what PyTorch printed when the one met the other
"""
import collections, json, pathlib, struct, traceback
import torch
from torch import nn

here = pathlib.Path(__file__).resolve().parent


class DigitNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 8, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.fc(x.mean((2, 3)))


def save_safetensors(state, path):
    """The format is simple enough to be written by hand: a length, a JSON header, the bytes."""
    header, data = {}, b""
    for name, tensor in state.items():
        raw = tensor.contiguous().numpy().tobytes()
        dtype = {torch.float32: "F32", torch.int64: "I64"}[tensor.dtype]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


torch.manual_seed(2)
trained = DigitNet(classes=5)
wrapped = collections.OrderedDict(("module." + key, value) for key, value in trained.state_dict().items())
torch.save({"epoch": 12, "state_dict": wrapped}, here / "checkpoint.pth")

model = DigitNet(classes=10)
save_safetensors(model.state_dict(), here / "model.safetensors")
try:
    model.load_state_dict(torch.load(here / "checkpoint.pth")["state_dict"])
except RuntimeError as error:
    lines = traceback.format_exception_only(type(error), error)
    (here / "error.txt").write_text("".join(lines))
