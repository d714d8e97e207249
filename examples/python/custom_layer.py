"""A custom layer needs no code to be saved, as long as its parts are registered. With parts in a plain list the file is
empty, and PyTorch does not say so; tenon does.

usage: custom_layer.py     (no arguments; exit code 0 when tenon caught it)
"""
import os
import sys
import tempfile

import torch
from torch import nn

from tenon_command import check, write_blueprint


class Product(nn.Module):
    """A layer of one's own."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(in_features, out_features))

    def forward(self, x):
        return torch.mm(x, self.weight)


class Registered(nn.Module):
    def __init__(self):
        super().__init__()
        self.product = Product(10, 5)

    def forward(self, x):
        return self.product(x)


class InAList(nn.Module):
    def __init__(self):
        super().__init__()
        self.products = [Product(10, 5)]  # nn.ModuleList would be registered

    def forward(self, x):
        for product in self.products:
            x = product(x)
        return x


def save_and_load(make, path):
    """Saves one model, loads the file into another one, and prints whether both compute the same."""
    x = torch.randn(3, 10)
    saved = make()
    # ... training ...
    torch.save(saved.state_dict(), path)
    loaded = make()
    state = torch.load(path)
    print("  the file holds:", list(state))
    print("  PyTorch says:  ", loaded.load_state_dict(state))
    print("  same outputs:  ", torch.equal(saved(x), loaded(x)))
    write_blueprint(saved, path, inputs=(x,))
    return write_blueprint(loaded, path + ".loaded", inputs=(x,))


def main(folder):
    print("A model with a custom layer, without any state_dict() of its own:")
    path = os.path.join(folder, "registered.pth")
    good = check(path, save_and_load(Registered, path))

    print("\nThe same with the layer in a plain list:")
    path = os.path.join(folder, "in_a_list.pth")
    bad = check(path, save_and_load(InAList, path))

    return 0 if not good and "custom_layer_state" in bad else 1


if __name__ == "__main__":
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(temporary))
