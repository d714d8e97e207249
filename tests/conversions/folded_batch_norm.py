"""Convolutions with BatchNorm, folded into convolutions with a bias for deployment."""
import torch
from torch import nn
from torch.nn import functional as F

from conversion import Conversion


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride, groups=1, folded=False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, groups=groups, bias=folded)
        self.bn = nn.Identity() if folded else nn.BatchNorm2d(outputs)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Net(nn.Module):
    def __init__(self, folded=False):
        super().__init__()
        self.stem = Block(3, 16, 2, folded=folded)
        self.blocks = nn.Sequential(Block(16, 24, 1, folded=folded), Block(24, 24, 1, groups=24, folded=folded), Block(24, 32, 2, folded=folded))
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


CONVERSIONS = {
    "conv and BatchNorm folded": Conversion(
        source=Net,
        target=lambda: Net(folded=True),
        inputs=lambda: (torch.randn(2, 3, 32, 32),),
        accept=("lossy",),
        knowledge="that a model for inference alone is wanted",
        tolerance=5e-6,
        why_not_exact="scale and shift are rounded into the weights",
    )
}
