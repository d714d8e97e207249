"""A network for colour images takes grey ones: its first filters are summed over colour."""
import torch
from torch import nn

from conversion import Conversion


def net(channels):
    return nn.Sequential(nn.Conv2d(channels, 16, 5, 2, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 3), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10))


CONVERSIONS = {
    "first convolution: 3 -> 1 channel": Conversion(
        source=lambda: net(3),
        target=lambda: net(1),
        inputs=lambda: (torch.randn(2, 1, 24, 24),),
        run_source=lambda model, x: model(x.repeat(1, 3, 1, 1)),
        accept=("lossy",),
        knowledge="that grey is the same value in all three channels",
        tolerance=1e-5,
        why_not_exact="three products are summed before the image is known",
    )
}
