"""A layer was added after the weights were saved. PyTorch loads them without a word; tenon names the layer.

usage: architecture_mismatch.py     (no arguments; exit code 0 when tenon caught it)
"""
import os
import sys
import tempfile

import torch
from torch import nn

from tenon_command import check, write_blueprint


class Classifier(nn.Module):
    """As it was when it was trained."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3)
        self.conv2 = nn.Conv2d(16, 32, 3)
        self.fc = nn.Linear(32 * 5 * 5, 10)  # 5 x 5 is what two convolutions leave of an image of 9 x 9

    def forward(self, x):
        x = self.conv1(x)
        x = self.conv2(x)
        x = x.view(-1, 32 * 5 * 5)
        return self.fc(x)


class PooledClassifier(nn.Module):
    """As it is when the weights are loaded: `pool` is new, and has no weights."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3)
        self.conv2 = nn.Conv2d(16, 32, 3)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc = nn.Linear(32 * 5 * 5, 10)

    def forward(self, x):
        x = self.conv1(x)
        x = self.conv2(x)
        x = self.pool(x)
        x = x.view(-1, 32 * 5 * 5)
        return self.fc(x)


def main(folder):
    path = os.path.join(folder, "classifier.pth")
    images = torch.rand(25, 3, 14, 14)

    print("A model is saved, with its blueprint:")
    saved = Classifier()
    # ... training ...
    torch.save(saved.state_dict(), path)
    write_blueprint(saved, path, inputs=images)

    print("\nA model with one more layer loads the file. PyTorch says:")
    model = PooledClassifier()
    print(" ", model.load_state_dict(torch.load(path)))

    print("\nAnd it runs:")
    for side in (9, 10, 14):
        for net in (saved, model):
            x = torch.rand(25, 3, side, side)
            try:
                with torch.no_grad():
                    result = "{} rows".format(len(net(x)))
            except RuntimeError as error:
                result = "an error: " + str(error).splitlines()[0]
            print("  25 images of {0} x {0} through {1}: {2}".format(side, type(net).__name__, result))

    blueprint = write_blueprint(model, os.path.join(folder, "pooled"), inputs=images)
    return 0 if "parameter_free_change" in check(path, blueprint) else 1


if __name__ == "__main__":
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(temporary))
