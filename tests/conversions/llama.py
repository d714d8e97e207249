"""LLaMA in three spellings: Meta's (rotary pairs side by side), that of transformers (rotary halves), and Phi-3's, where qkv and gate
and up are fused. Eight heads of queries share two of keys and values, so the parts of qkv are unequal."""
import torch
from torch import nn
from torch.nn import functional as F

from conversion import Conversion

WIDTH, HEADS, KV_HEADS, HIDDEN, LAYERS, SYMBOLS = 64, 8, 2, 96, 2, 53
HEAD = WIDTH // HEADS


class RMSNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def angles(length):
    """[length, HEAD / 2]"""
    return torch.outer(torch.arange(length).float(), 10000.0 ** (-torch.arange(0, HEAD, 2).float() / HEAD))


def rotate_pairs(x):
    """Meta: components 0 and 1, 2 and 3, ... turn together."""
    cos, sin = angles(x.shape[2]).cos(), angles(x.shape[2]).sin()
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def rotate_halves(x):
    """transformers: component i turns with i + HEAD / 2."""
    cos, sin = angles(x.shape[2]).cos(), angles(x.shape[2]).sin()
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)


def attend(q, k, v, rotate):
    q, k, v = (t.unflatten(-1, (-1, HEAD)).transpose(1, 2) for t in (q, k, v))
    q, k = rotate(q), rotate(k)
    k, v = (t.repeat_interleave(HEADS // KV_HEADS, 1) for t in (k, v))
    mask = torch.full((q.shape[2], q.shape[2]), float("-inf")).triu(1)
    return ((q @ k.transpose(-2, -1) * HEAD**-0.5 + mask).softmax(-1) @ v).transpose(1, 2).flatten(2)


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


class MetaAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.wq, self.wk = linear(WIDTH, WIDTH), linear(WIDTH, KV_HEADS * HEAD)
        self.wv, self.wo = linear(WIDTH, KV_HEADS * HEAD), linear(WIDTH, WIDTH)

    def forward(self, x):
        return self.wo(attend(self.wq(x), self.wk(x), self.wv(x), rotate_pairs))


class MetaFeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1, self.w2, self.w3 = linear(WIDTH, HIDDEN), linear(HIDDEN, WIDTH), linear(WIDTH, HIDDEN)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class MetaBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.feed_forward = MetaAttention(), MetaFeedForward()
        self.attention_norm, self.ffn_norm = RMSNorm(), RMSNorm()

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.ffn_norm(x))


class MetaLlama(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok_embeddings = nn.Embedding(SYMBOLS, WIDTH)
        self.layers = nn.ModuleList(MetaBlock() for _ in range(LAYERS))
        self.norm, self.output = RMSNorm(), linear(WIDTH, SYMBOLS)

    def forward(self, tokens):
        x = self.tok_embeddings(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.output(self.norm(x))


class HfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj = linear(WIDTH, WIDTH), linear(WIDTH, KV_HEADS * HEAD)
        self.v_proj, self.o_proj = linear(WIDTH, KV_HEADS * HEAD), linear(WIDTH, WIDTH)

    def forward(self, x):
        return self.o_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), rotate_halves))


class HfMlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = linear(WIDTH, HIDDEN), linear(WIDTH, HIDDEN), linear(HIDDEN, WIDTH)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class FusedAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv_proj, self.o_proj = linear(WIDTH, WIDTH + 2 * KV_HEADS * HEAD), linear(WIDTH, WIDTH)

    def forward(self, x):
        return self.o_proj(attend(*self.qkv_proj(x).split([WIDTH, KV_HEADS * HEAD, KV_HEADS * HEAD], -1), rotate_halves))


class FusedMlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_up_proj, self.down_proj = linear(WIDTH, 2 * HIDDEN), linear(HIDDEN, WIDTH)

    def forward(self, x):
        gate, up = self.gate_up_proj(x).chunk(2, -1)
        return self.down_proj(F.silu(gate) * up)


class HfLayer(nn.Module):
    def __init__(self, attention, mlp):
        super().__init__()
        self.self_attn, self.mlp = attention(), mlp()
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(), RMSNorm()

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class HfModel(nn.Module):
    def __init__(self, attention, mlp):
        super().__init__()
        self.embed_tokens = nn.Embedding(SYMBOLS, WIDTH)
        self.layers = nn.ModuleList(HfLayer(attention, mlp) for _ in range(LAYERS))
        self.norm = RMSNorm()

    def forward(self, tokens):
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class HfLlama(nn.Module):
    def __init__(self, attention=HfAttention, mlp=HfMlp):
        super().__init__()
        self.model = HfModel(attention, mlp)
        self.lm_head = linear(WIDTH, SYMBOLS)

    def forward(self, tokens):
        return self.lm_head(self.model(tokens))


def phi3():
    return HfLlama(FusedAttention, FusedMlp)


def tokens():
    return (torch.randint(0, SYMBOLS, (2, 11)),)


def rotary(pattern, heads):
    """Pairs side by side to halves: rows [heads, HEAD / 2, 2] -> [heads, 2, HEAD / 2]."""
    return {"op": "reorder", "pattern": pattern, "dim": 0, "view": [heads, -1, 2], "dims": [0, 2, 1], "applicability": "exact"}


def rename(source, target):
    return {"op": "rename", "from": source, "to": target, "regex": True, "applicability": "exact"}


META_TO_HF = [
    rotary("*.wq.weight", HEADS),
    rotary("*.wk.weight", KV_HEADS),
    rename(r"layers\.(\d+)\.attention\.w([qkvo])\.weight", "model.layers.$1.self_attn.$2_proj.weight"),
    rename(r"layers\.(\d+)\.feed_forward\.w1\.weight", "model.layers.$1.mlp.gate_proj.weight"),
    rename(r"layers\.(\d+)\.feed_forward\.w2\.weight", "model.layers.$1.mlp.down_proj.weight"),
    rename(r"layers\.(\d+)\.feed_forward\.w3\.weight", "model.layers.$1.mlp.up_proj.weight"),
    rename(r"layers\.(\d+)\.attention_norm\.weight", "model.layers.$1.input_layernorm.weight"),
    rename(r"layers\.(\d+)\.ffn_norm\.weight", "model.layers.$1.post_attention_layernorm.weight"),
    rename(r"tok_embeddings\.weight", "model.embed_tokens.weight"),
    rename(r"norm\.weight", "model.norm.weight"),
    rename(r"output\.weight", "lm_head.weight"),
]

CONVERSIONS = {
    "LLaMA Meta -> transformers (rotary)": Conversion(
        source=MetaLlama,
        target=HfLlama,
        inputs=tokens,
        plan={"ops": META_TO_HF},
        knowledge="that the rotary pairs become halves, and how many heads there are",
        tolerance=1e-5,
        why_not_exact="sums over a head run in another order",
    ),
    "LLaMA -> Phi-3 (unequal qkv, gate and up fused)": Conversion(
        source=HfLlama,
        target=phi3,
        inputs=tokens,
        accept=("guess",),
        knowledge="that the order is q, k, v and gate, up, as the names say",
        tolerance=1e-5,
        why_not_exact="one wide product against three and two",
    ),
    "Phi-3 -> LLaMA (unequal qkv, gate and up split)": Conversion(
        source=phi3,
        target=HfLlama,
        inputs=tokens,
        accept=("guess",),
        knowledge="that the order is q, k, v and gate, up, as the names say",
        tolerance=1e-5,
        why_not_exact="three and two products against one wide one",
    ),
}
