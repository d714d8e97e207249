#!/usr/bin/env python3
"""Makes the small files that docs/transcripts.md works on: transcript_files.py FOLDER. Needs Python alone.

Each pair is one cause: what a training left, and what the model that is to load it wants. Values count up from tensor to
tensor, so that no two tensors are equal; where both files of a pair hold the same weights, so do their bytes.
"""
import json, pathlib, struct, sys

CODES = {"F32": "f", "F64": "d", "I64": "q"}


def count(shape):
    total = 1
    for extent in shape:
        total *= extent
    return total


def write(path, tensors, turned=False):
    """A safetensors file of {name: shape} or {name: (dtype, shape)}: a length, a header, the bytes. Turned: the values
    of the file whose matrices are the transposed ones."""
    header, body = {}, b""
    for number, (name, row) in enumerate(tensors.items()):
        dtype, shape = row if isinstance(row, tuple) else ("F32", row)
        values = [number if dtype == "I64" else number + i / 3 for i in range(count(shape))]
        if turned and len(shape) == 2:
            values = [values[i + j * shape[0]] for i in range(shape[0]) for j in range(shape[1])]
        raw = struct.pack(f"<{len(values)}{CODES[dtype]}", *values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def net(classes=10, width=8, dtype="F32"):
    layer = {"stem.weight": [width, 3, 3, 3], "stem.bias": [width]}
    for i in range(3):
        layer |= {f"blocks.{i}.conv.weight": [width, width, 3, 3], f"blocks.{i}.conv.bias": [width],
                  f"blocks.{i}.norm.weight": [width], f"blocks.{i}.norm.bias": [width]}
    layer |= {"head.weight": [classes, width], "head.bias": [classes]}
    return {name: (dtype, shape) for name, shape in layer.items()}


def transformer(fused, tokens=64, positions=17, dim=16):
    rows = {"embed.weight": [tokens, dim], "pos_embed": [1, positions, dim]}
    for i in range(2):
        at = f"layers.{i}.attn"
        parts = {f"{at}.qkv.weight": [3 * dim, dim], f"{at}.qkv.bias": [3 * dim]} if fused else {
            f"{at}.{part}.{leaf}": shape for part in ("q_proj", "k_proj", "v_proj")
            for leaf, shape in (("weight", [dim, dim]), ("bias", [dim]))}
        rows |= parts | {f"{at}.out.weight": [dim, dim], f"{at}.out.bias": [dim], f"layers.{i}.norm.weight": [dim],
                         f"layers.{i}.norm.bias": [dim]}
    return rows


def renamed(tensors, *pairs):
    result = {}
    for name, row in tensors.items():
        for old, new in pairs:
            name = name.replace(old, new)
        result[name] = row
    return result


def moments(tensors):
    return {f"state.{i}.{leaf}": row for i, row in enumerate(tensors.values()) for leaf in ("exp_avg", "exp_avg_sq")}


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("wide", "gan", "run", "cut", "clone"):
        (folder / name).mkdir()
    make = lambda name, tensors, **how: write(folder / f"{name}.safetensors", tensors, **how)
    make("net", net())
    make("net_ddp", renamed(net(), ("stem", "module.stem"), ("blocks", "module.blocks"), ("head", "module.head")))
    make("net_100_classes", net(classes=100))
    make("net_double", net(dtype="F64"))
    make("net_old_names", renamed(net(), ("blocks", "encoder.stages"), (".conv.", ".body.0."), (".norm.", ".body.1."),
                                  ("stem", "encoder.patch")))
    make("wide/net", net(width=12))
    make("net_with_ema", net() | {f"ema.{name}": row for name, row in net().items()})
    make("gan/generator", net())
    make("gan/discriminator", {"features.0.weight": [4, 3, 3, 3], "features.0.bias": [4], "classifier.weight": [1, 4]})
    make("run/optimizer", moments(net()))
    make("run/weights_epoch_12",
         renamed(net(), ("stem", "module.stem"), ("blocks", "module.blocks"), ("head", "module.head")))
    make("vit_qkv", transformer(fused=True))
    make("vit", transformer(fused=False))
    make("vit_large_images", transformer(fused=False, positions=65))
    make("vit_more_words", transformer(fused=False, tokens=72))
    make("mlp", {"fc1.weight": [6, 4], "fc1.bias": [6], "fc2.weight": [3, 6], "fc2.bias": [3]})
    make("mlp_keras", {"fc1.weight": [4, 6], "fc1.bias": [6], "fc2.weight": [6, 3], "fc2.bias": [3]}, turned=True)
    whole = (folder / "net.safetensors").read_bytes()
    (folder / "cut" / "net.safetensors").write_bytes(whole[:len(whole) * 2 // 3])
    (folder / "clone" / "net.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + "5e" * 32 + "\nsize 13371337\n")


if __name__ == "__main__":
    main()
