"""A training file: a Lightning container, the wrapper's and DataParallel's prefix, a head for other classes, optimizer and loss beside it."""
import torch
from torch import nn
from torch.nn import functional as F

from conversion import Conversion


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 24, 3), nn.BatchNorm2d(24)
        self.fc = nn.Linear(24, classes)

    def features(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))).mean((2, 3))

    def forward(self, x):
        return self.fc(self.features(x))


class Training(nn.Module):
    """What a LightningModule looks like to a state dict."""

    def __init__(self):
        super().__init__()
        self.model = nn.DataParallel(Net(100))
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(100))


def lightning_file(training):
    optimizer = torch.optim.Adam(training.parameters())
    for parameter in training.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    return {"epoch": 3, "global_step": 1200, "pytorch-lightning_version": "1.9.0", "state_dict": training.state_dict(),
            "optimizer_states": [optimizer.state_dict()], "lr_schedulers": []}


def new_head_on_old_features(training, target, inputs):
    return target.fc(training.model.module.features(*inputs))


CONVERSIONS = {
    "Lightning, DataParallel and another head at once": Conversion(
        source=Training,
        target=lambda: Net(7),
        inputs=lambda: (torch.randn(2, 3, 16, 16),),
        save=lightning_file,
        run_source=lambda training, x: training.model.module(x),
        expected=new_head_on_old_features,
    )
}
