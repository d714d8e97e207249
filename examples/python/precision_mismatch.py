"""Weights in float64 are loaded into a float32 model. PyTorch rounds them without a word; tenon counts what is lost.

usage: precision_mismatch.py     (no arguments; exit code 0 when tenon caught it)
"""
import os
import sys
import tempfile

import torch
from torch import nn

from tenon_command import check, write_blueprint


def load_and_compare(path):
    """Loads a file into a new layer and prints what PyTorch says and what became of the values."""
    saved = torch.load(path, map_location=torch.device("cpu"))
    model = nn.Linear(10, 2)
    print("  the file holds:", saved["weight"].dtype)
    print("  PyTorch says:  ", model.load_state_dict(saved))
    now = model.weight.detach().double()
    before = saved["weight"].double()
    changed = int((now != before).sum())
    error = float(((now - before).abs() / before.abs()).max())
    print("  changed:        {} of {} weights, by up to {:.1e} of their value".format(changed, before.numel(), error))
    return model


def main(folder):
    print("A layer is made, perhaps trained in float64, and saved in the usual way:")
    path = os.path.join(folder, "single.pth")
    model = nn.Linear(10, 2)
    # ... training on float64 data: a layer keeps the dtype that it was made with ...
    torch.save(model.state_dict(), path)
    load_and_compare(path)

    print("\nNow the layer itself is float64:")
    path = os.path.join(folder, "double.pth")
    torch.save(nn.Linear(10, 2, dtype=torch.float64).state_dict(), path)
    model = load_and_compare(path)

    return 0 if "dtype_mismatch" in check(path, write_blueprint(model, os.path.join(folder, "layer"))) else 1


if __name__ == "__main__":
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(temporary))
