"""A ViT in timm's names (fused qkv) and in those of transformers (query, key, value), in both directions and at another resolution."""
import torch
from torch import nn
from torch.nn import functional as F

from conversion import Conversion

WIDTH, HEADS, LAYERS, PATCH, CLASSES = 48, 4, 3, 8, 10


def attend(q, k, v):
    """[batch, tokens, width] each."""
    q, k, v = (t.unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(1, 2) for t in (q, k, v))
    weights = (q @ k.transpose(-2, -1) * (WIDTH // HEADS) ** -0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


class TimmAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        return self.proj(attend(*self.qkv(x).chunk(3, -1)))


class TimmMlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class TimmBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(WIDTH, eps=1e-6), TimmAttention()
        self.norm2, self.mlp = nn.LayerNorm(WIDTH, eps=1e-6), TimmMlp()

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class TimmPatchEmbed(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Conv2d(3, WIDTH, PATCH, PATCH)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class TimmViT(nn.Module):
    def __init__(self, side=4):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, side * side + 1, WIDTH))
        self.patch_embed = TimmPatchEmbed()
        self.blocks = nn.Sequential(*(TimmBlock() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        x = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class HfSelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x):
        return attend(self.query(x), self.key(x), self.value(x))


class HfDense(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.dense(x)


class HfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.output = HfSelfAttention(), HfDense(WIDTH, WIDTH)

    def forward(self, x):
        return self.output(self.attention(x))


class HfLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = HfAttention()
        self.intermediate, self.output = HfDense(WIDTH, 4 * WIDTH), HfDense(4 * WIDTH, WIDTH)
        self.layernorm_before, self.layernorm_after = nn.LayerNorm(WIDTH, eps=1e-6), nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, x):
        x = x + self.attention(self.layernorm_before(x))
        return x + self.output(F.gelu(self.intermediate(self.layernorm_after(x))))


class HfPatches(nn.Module):
    def __init__(self):
        super().__init__()
        self.projection = nn.Conv2d(3, WIDTH, PATCH, PATCH)

    def forward(self, x):
        return self.projection(x).flatten(2).transpose(1, 2)


class HfEmbeddings(nn.Module):
    def __init__(self, side):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.position_embeddings = nn.Parameter(torch.zeros(1, side * side + 1, WIDTH))
        self.patch_embeddings = HfPatches()

    def forward(self, x):
        x = self.patch_embeddings(x)
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.position_embeddings


class HfEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.ModuleList(HfLayer() for _ in range(LAYERS))

    def forward(self, x):
        for layer in self.layer:
            x = layer(x)
        return x


class HfViTModel(nn.Module):
    def __init__(self, side):
        super().__init__()
        self.embeddings, self.encoder = HfEmbeddings(side), HfEncoder()
        self.layernorm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, x):
        return self.layernorm(self.encoder(self.embeddings(x)))[:, 0]


class HfViT(nn.Module):
    def __init__(self, side=4):
        super().__init__()
        self.vit = HfViTModel(side)
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        return self.classifier(self.vit(x))


def resized_by_torch(source, target, inputs):
    """The output of the larger model whose table PyTorch interpolated from the smaller one's."""
    state = source.state_dict()
    token, grid = state["pos_embed"][:, :1], state["pos_embed"][:, 1:]
    grid = grid.reshape(1, 4, 4, WIDTH).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(6, 6), mode="bicubic", align_corners=False)
    state["pos_embed"] = torch.cat([token, grid.permute(0, 2, 3, 1).reshape(1, 36, WIDTH)], 1)
    larger = TimmViT(side=6).eval()
    larger.load_state_dict(state)
    return larger(*inputs)


def images(side=4):
    return (torch.randn(2, 3, side * PATCH, side * PATCH),)


ORDER = "that qkv is q, k and v one behind the other"

CONVERSIONS = {
    "ViT timm -> transformers (qkv split)": Conversion(
        source=TimmViT, target=HfViT, inputs=images, accept=("guess",), knowledge=ORDER, tolerance=2e-6, why_not_exact="one product of 144 columns against three of 48"
    ),
    "ViT transformers -> timm (qkv fused)": Conversion(
        source=HfViT, target=TimmViT, inputs=images, accept=("guess",), knowledge=ORDER, tolerance=2e-6, why_not_exact="one product of 144 columns against three of 48"
    ),
    "ViT at another resolution": Conversion(
        source=TimmViT,
        target=lambda: TimmViT(side=6),
        inputs=lambda: images(6),
        accept=("lossy",),
        knowledge="that interpolated positions are wanted",
        expected=resized_by_torch,
        tolerance=1e-5,
        why_not_exact="the cubic weights are rounded in another order",
    ),
}
