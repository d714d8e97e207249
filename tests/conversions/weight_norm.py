"""Weight norm in its three forms: weight_g and weight_v, the parametrization's original0 and original1, and one plain weight."""
import torch
from torch import nn
from torch.nn.utils import parametrize

from conversion import Conversion


class WeightNorm(nn.Module):
    """What torch.nn.utils.parametrizations.weight_norm registers from PyTorch 2.1 on: original0 is the norm, original1 the direction."""

    def forward(self, norm, direction):
        return torch._weight_norm(direction, norm, 0)

    def right_inverse(self, weight):
        return weight.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.dim() - 1)), weight


def as_hook(module):
    return nn.utils.weight_norm(module)


def as_parametrization(module):
    parametrize.register_parametrization(module, "weight", WeightNorm())
    return module


def vocoder(normed):
    return nn.Sequential(normed(nn.Conv1d(8, 16, 7, padding=3)), nn.LeakyReLU(0.1), normed(nn.Conv1d(16, 24, 3)), nn.Tanh(),
                         nn.Flatten(), normed(nn.Linear(24 * 18, 5)))


def sound():
    return (torch.randn(2, 8, 20),)


CONVERSIONS = {
    "weight norm: g, v -> parametrizations": Conversion(
        source=lambda: vocoder(as_hook), target=lambda: vocoder(as_parametrization), inputs=sound
    ),
    "weight norm: parametrizations -> g, v": Conversion(
        source=lambda: vocoder(as_parametrization), target=lambda: vocoder(as_hook), inputs=sound
    ),
    "weight norm: g, v -> plain weight": Conversion(
        source=lambda: vocoder(as_hook),
        target=lambda: vocoder(lambda module: module),
        inputs=sound,
        accept=("lossy",),
        knowledge="that the norm may be computed once and for all",
        tolerance=2e-6,
        why_not_exact="norms summed in another order",
    ),
}
