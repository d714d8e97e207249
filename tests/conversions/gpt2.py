"""GPT-2 with Conv1D ([in, out], as transformers has it) in a model of Linear layers ([out, in], as nanoGPT has it); the attention's
output projection is square, so that its shape says nothing about the turn. The causal mask is a buffer on one side only."""
import torch
from torch import nn
from torch.nn import functional as F

from conversion import Conversion

WIDTH, HEADS, LAYERS, CONTEXT, SYMBOLS = 48, 4, 3, 16, 61


class Conv1D(nn.Module):
    def __init__(self, outputs, inputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


def linear(outputs, inputs):
    return nn.Linear(inputs, outputs)


class Attention(nn.Module):
    def __init__(self, dense, saves_mask):
        super().__init__()
        self.register_buffer("bias", torch.ones(CONTEXT, CONTEXT, dtype=torch.uint8).tril()[None, None], persistent=saves_mask)
        self.c_attn, self.c_proj = dense(3 * WIDTH, WIDTH), dense(WIDTH, WIDTH)

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in self.c_attn(x).chunk(3, -1))
        scores = q @ k.transpose(-2, -1) * (WIDTH // HEADS) ** -0.5
        scores = scores.masked_fill(self.bias[:, :, : x.shape[1], : x.shape[1]] == 0, float("-inf"))
        return self.c_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, dense):
        super().__init__()
        self.c_fc, self.c_proj = dense(4 * WIDTH, WIDTH), dense(WIDTH, 4 * WIDTH)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, dense, saves_mask):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(WIDTH), Attention(dense, saves_mask)
        self.ln_2, self.mlp = nn.LayerNorm(WIDTH), Mlp(dense)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    def __init__(self, dense, saves_mask):
        super().__init__()
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(SYMBOLS, WIDTH),
            "wpe": nn.Embedding(CONTEXT, WIDTH),
            "h": nn.ModuleList(Block(dense, saves_mask) for _ in range(LAYERS)),
            "ln_f": nn.LayerNorm(WIDTH),
        })

    def forward(self, tokens):
        x = self.transformer["wte"](tokens) + self.transformer["wpe"](torch.arange(tokens.shape[1]))
        for block in self.transformer["h"]:
            x = block(x)
        return self.transformer["ln_f"](x) @ self.transformer["wte"].weight.T


CONVERSIONS = {
    "GPT-2 Conv1D -> Linear": Conversion(
        source=lambda: GPT2(Conv1D, saves_mask=True),
        target=lambda: GPT2(linear, saves_mask=False),
        inputs=lambda: (torch.randint(0, SYMBOLS, (2, 9)),),
        tolerance=2e-5,
        why_not_exact="x W + b against the transposed product",
    ),
}
