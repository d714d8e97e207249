"""A language model whose output layer is its embedding, saved once (as safetensors does), in a model that holds the two apart."""
import torch
from torch import nn
from torch.nn import functional as F

from conversion import Conversion

SYMBOLS, WIDTH = 71, 32


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(SYMBOLS, WIDTH)
        self.layers = nn.ModuleList(nn.GRU(WIDTH, WIDTH, batch_first=True) for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, tokens):
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = x + layer(x)[0]
        return self.norm(x)


class Untied(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Body()
        self.lm_head = nn.Linear(WIDTH, SYMBOLS, bias=False)

    def forward(self, tokens):
        return self.lm_head(self.model(tokens))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Body()

    def forward(self, tokens):
        return F.linear(self.model(tokens), self.model.embed_tokens.weight)


CONVERSIONS = {
    "tied embedding, saved once -> untied": Conversion(
        source=Tied,
        target=Untied,
        inputs=lambda: (torch.randint(0, SYMBOLS, (2, 9)),),
        accept=("guess",),
        knowledge="that the output layer was the embedding",
    )
}
