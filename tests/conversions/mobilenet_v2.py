"""torchvision's MobileNetV2 (features.N.conv.M.K) in timm's names (blocks.S.B.conv_pw, conv_dw, conv_pwl)."""
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from conversion import Conversion


def conv(inputs, outputs, kernel=1, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class Separable(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv_dw, self.bn1 = conv(inputs, inputs, 3, groups=inputs), nn.BatchNorm2d(inputs)
        self.conv_pw, self.bn2 = conv(inputs, outputs), nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.bn2(self.conv_pw(F.relu6(self.bn1(self.conv_dw(x)))))


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        hidden = inputs * expansion
        self.conv_pw, self.bn1 = conv(inputs, hidden), nn.BatchNorm2d(hidden)
        self.conv_dw, self.bn2 = conv(hidden, hidden, 3, stride, hidden), nn.BatchNorm2d(hidden)
        self.conv_pwl, self.bn3 = conv(hidden, outputs), nn.BatchNorm2d(outputs)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x):
        y = F.relu6(self.bn2(self.conv_dw(F.relu6(self.bn1(self.conv_pw(x))))))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.skips else y


class TimmMobileNetV2(nn.Module):
    STAGES = ((6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(self):
        super().__init__()
        self.conv_stem, self.bn1 = conv(3, 32, 3, 2), nn.BatchNorm2d(32)
        stages, inputs = [nn.Sequential(Separable(32, 16))], 16
        for expansion, outputs, count, stride in self.STAGES:
            blocks = [Inverted(inputs if i == 0 else outputs, outputs, stride if i == 0 else 1, expansion) for i in range(count)]
            stages.append(nn.Sequential(*blocks))
            inputs = outputs
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = conv(320, 1280), nn.BatchNorm2d(1280)
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x):
        x = self.blocks(F.relu6(self.bn1(self.conv_stem(x))))
        return self.classifier(F.relu6(self.bn2(self.conv_head(x))).mean((2, 3)))


CONVERSIONS = {
    "MobileNetV2 torchvision -> timm": Conversion(
        source=torchvision.models.mobilenet_v2,
        target=TimmMobileNetV2,
        inputs=lambda: (torch.randn(2, 3, 64, 64),),
        tolerance=1e-5,
        why_not_exact="the mean over the last plane is taken by another operator",
    )
}
