"""Attention whose qkv is interleaved per head ([heads, 3, size, width], as BLOOM and GPT-NeoX keep it) split into q, k and v."""
import torch
from torch import nn

from conversion import Conversion

WIDTH, HEADS, LAYERS = 32, 4, 2
SIZE = WIDTH // HEADS


def attend(q, k, v):
    """[batch, heads, tokens, size] each."""
    return ((q @ k.transpose(-2, -1) * SIZE**-0.5).softmax(-1) @ v).transpose(1, 2).flatten(2)


class NeoXAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query_key_value, self.dense = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        q, k, v = self.query_key_value(x).unflatten(-1, (HEADS, 3, SIZE)).permute(3, 0, 2, 1, 4)
        return self.dense(attend(q, k, v))


class SplitAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.dense = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x):
        q, k, v = (p(x).unflatten(-1, (HEADS, SIZE)).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.dense(attend(q, k, v))


class Net(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleDict({"norm": nn.LayerNorm(WIDTH), "attention": attention()}) for _ in range(LAYERS))

    def forward(self, x):
        for layer in self.layers:
            x = x + layer["attention"](layer["norm"](x))
        return x


SPLIT = {"op": "split", "from": r"layers\.(\d+)\.attention\.query_key_value\.(weight|bias)", "regex": True, "dim": 0, "groups": HEADS,
         "to": [f"layers.$1.attention.{part}_proj.$2" for part in "qkv"], "applicability": "exact"}

CONVERSIONS = {
    "qkv interleaved per head -> q, k, v": Conversion(
        source=lambda: Net(NeoXAttention),
        target=lambda: Net(SplitAttention),
        inputs=lambda: (torch.randn(2, 7, WIDTH),),
        plan={"ops": [SPLIT]},
        knowledge="that qkv goes head by head, and how many heads there are",
        tolerance=2e-6,
        why_not_exact="one product against three",
    )
}
