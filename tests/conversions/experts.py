"""A mixture of experts with a module for each expert, in the stacked parameters of newer code: gate and up of all experts are one tensor."""
import torch
from torch import nn
from torch.nn import functional as F

from conversion import Conversion

WIDTH, HIDDEN, EXPERTS, LAYERS = 16, 24, 4, 3


def mixed(weights, outputs):
    return (weights.unsqueeze(-1) * torch.stack(outputs, 1)).sum(1)


class Expert(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1, self.w3 = (nn.Linear(WIDTH, HIDDEN, bias=False) for _ in range(2))
        self.w2 = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class SeparateMoe(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(Expert() for _ in range(EXPERTS))

    def forward(self, x):
        return mixed(self.gate(x).softmax(-1), [expert(x) for expert in self.experts])


class SeparateLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.ffn_norm, self.block_sparse_moe = nn.LayerNorm(WIDTH), SeparateMoe()

    def forward(self, x):
        return x + self.block_sparse_moe(self.ffn_norm(x))


class StackedExperts(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.zeros(EXPERTS, 2 * HIDDEN, WIDTH))
        self.down_proj = nn.Parameter(torch.zeros(EXPERTS, WIDTH, HIDDEN))

    def forward(self, x):
        outputs = []
        for both, down in zip(self.gate_up_proj, self.down_proj):
            outputs.append(F.linear(F.silu(F.linear(x, both[:HIDDEN])) * F.linear(x, both[HIDDEN:]), down))
        return outputs


class StackedMoe(nn.Module):
    def __init__(self):
        super().__init__()
        self.router, self.experts = nn.Linear(WIDTH, EXPERTS, bias=False), StackedExperts()

    def forward(self, x):
        return mixed(self.router(x).softmax(-1), self.experts(x))


class StackedLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.post_attention_layernorm, self.mlp = nn.LayerNorm(WIDTH), StackedMoe()

    def forward(self, x):
        return x + self.mlp(self.post_attention_layernorm(x))


class Separate(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(SeparateLayer() for _ in range(LAYERS))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Stacked(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(StackedLayer() for _ in range(LAYERS))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


INPUTS = lambda: (torch.randn(5, WIDTH),)  # noqa: E731
WHY = "products of slices of one tensor against products of several"

CONVERSIONS = {
    "experts one by one -> experts stacked, gate and up in one": Conversion(
        source=Separate, target=Stacked, inputs=INPUTS, tolerance=2e-6, why_not_exact=WHY),
}
