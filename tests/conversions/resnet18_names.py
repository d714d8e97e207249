"""torchvision's ResNet-18 in detectron2's names: stem, res2 to res5, the norm inside its convolution, frozen statistics."""
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from conversion import Conversion


class FrozenBatchNorm(nn.Module):
    """Four buffers and no counter, as detectron2's FrozenBatchNorm2d."""

    def __init__(self, channels):
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.ones(channels))

    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=1e-5)


class NormedConv(nn.Conv2d):
    def __init__(self, inputs, outputs, kernel, stride):
        super().__init__(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = FrozenBatchNorm(outputs)

    def forward(self, x):
        return self.norm(super().forward(x))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = NormedConv(inputs, outputs, 3, stride)
        self.conv2 = NormedConv(outputs, outputs, 3, 1)
        self.shortcut = NormedConv(inputs, outputs, 1, stride) if stride > 1 else None

    def forward(self, x):
        y = self.conv2(F.relu(self.conv1(x)))
        return F.relu(y + (self.shortcut(x) if self.shortcut else x))


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = NormedConv(3, 64, 7, 2)

    def forward(self, x):
        return F.max_pool2d(F.relu(self.conv1(x)), 3, 2, 1)


class Detectron2ResNet(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        self.stem = Stem()
        for stage, width in enumerate((64, 128, 256, 512), start=2):
            first = Block(64 if stage == 2 else width // 2, width, 1 if stage == 2 else 2)
            setattr(self, f"res{stage}", nn.Sequential(first, Block(width, width, 1)))
        self.linear = nn.Linear(512, classes)

    def forward(self, x):
        x = self.res5(self.res4(self.res3(self.res2(self.stem(x)))))
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


CONVERSIONS = {
    "resnet18 torchvision -> detectron2": Conversion(
        source=torchvision.models.resnet18, target=Detectron2ResNet, inputs=lambda: (torch.randn(2, 3, 64, 64),)
    ),
}
