"""Keras-like kernels ([h, w, in, out] and [in, out], channels last) in a PyTorch model; behind the flatten the inputs of the first Dense
are numbered (h, w, c) there and (c, h, w) here."""
import torch
from torch import nn
from torch.nn import functional as F

from conversion import Conversion

SIDE = 3  # height and width before the flatten


class KerasConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(3, 3, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        """x: [batch, height, width, channels]"""
        return F.conv2d(x.permute(0, 3, 1, 2), self.kernel.permute(3, 2, 0, 1), self.bias).permute(0, 2, 3, 1)


class KerasDense(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return x @ self.kernel + self.bias


class KerasBatchNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("moving_mean", torch.zeros(channels))
        self.register_buffer("moving_variance", torch.ones(channels))

    def forward(self, x):
        return (x - self.moving_mean) / torch.sqrt(self.moving_variance.abs() + 1e-3) * self.gamma + self.beta


class KerasNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv2d, self.batch_normalization = KerasConv(3, 8), KerasBatchNorm(8)
        self.conv2d_1 = KerasConv(8, 12)
        self.dense, self.dense_1 = KerasDense(SIDE * SIDE * 12, 20), KerasDense(20, 5)

    def forward(self, x):
        x = F.relu(self.batch_normalization(self.conv2d(x.permute(0, 2, 3, 1))))
        x = F.relu(self.conv2d_1(x))
        return self.dense_1(F.relu(self.dense(x.flatten(1))))


class TorchNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.conv2 = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, eps=1e-3), nn.Conv2d(8, 12, 3)
        self.fc1, self.fc2 = nn.Linear(SIDE * SIDE * 12, 20), nn.Linear(20, 5)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def keras_names(model):
    """`conv2d/kernel` as in the weight files of Keras; a variance is positive."""
    state = {name.replace(".", "/"): tensor for name, tensor in model.state_dict().items()}
    return {name: tensor.abs() if name.endswith("variance") else tensor for name, tensor in state.items()}


def op(op, pattern, **rest):
    return {"op": op, "pattern": pattern, **rest, "applicability": "exact"}


def rename(source, target):
    return {"op": "rename", "from": source, "to": target, "applicability": "exact"}


PLAN = [
    op("transpose", "conv2d*/kernel", dims=[3, 2, 0, 1]),
    op("reorder", "dense/kernel", dim=0, view=[SIDE, SIDE, 12], dims=[2, 0, 1]),
    op("transpose", "dense*/kernel", dims=[1, 0]),
    rename("conv2d/kernel", "conv1.weight"), rename("conv2d/bias", "conv1.bias"),
    rename("conv2d_1/kernel", "conv2.weight"), rename("conv2d_1/bias", "conv2.bias"),
    rename("batch_normalization/gamma", "bn1.weight"), rename("batch_normalization/beta", "bn1.bias"),
    rename("batch_normalization/moving_mean", "bn1.running_mean"), rename("batch_normalization/moving_variance", "bn1.running_var"),
    rename("dense/kernel", "fc1.weight"), rename("dense/bias", "fc1.bias"),
    rename("dense_1/kernel", "fc2.weight"), rename("dense_1/bias", "fc2.bias"),
    op("keep_target", "bn1.num_batches_tracked"),
]

CONVERSIONS = {
    "Keras layout -> PyTorch (Dense behind a flatten)": Conversion(
        source=KerasNet,
        target=TorchNet,
        inputs=lambda: (torch.randn(2, 3, 4 + SIDE, 4 + SIDE),),
        save=keras_names,
        plan={"ops": PLAN},
        knowledge="that a flatten of 3 x 3 x 12 stands before `dense`",
        tolerance=1e-5,
        why_not_exact="x W against the transposed product",
    )
}
