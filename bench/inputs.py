"""Seeded inputs: safetensors files made by the standard library alone, the .pt beside them by torch.save.

Values are float32 of magnitude 2^-7 to 2^1 with random mantissas: a sign, three random bits of the exponent, 23 of the mantissa. They are labelled
synthetic; nothing here compresses or looks at values, so real weights would take as long.
"""
import json
import os
import random
import struct

CHUNK = 4 << 20
KEEP = int.from_bytes(struct.pack("<I", 0x83FFFFFF) * (CHUNK // 4), "little")
EXPONENT = int.from_bytes(struct.pack("<I", 0x3C000000) * (CHUNK // 4), "little")


def transformer(megabytes):
    """Names and shapes of a decoder of about that many megabytes."""
    width = 512 if megabytes < 500 else 1024 if megabytes < 2000 else 2048
    left = megabytes * 1_000_000
    tensors = [("model.embed_tokens.weight", (8 * width, width))]
    layer = 0
    while True:
        prefix = "model.layers.{}.".format(layer)
        block = [(prefix + "self_attn.{}_proj.weight".format(part), (width, width)) for part in "qkvo"]
        block += [(prefix + "mlp.up_proj.weight", (4 * width, width)), (prefix + "mlp.down_proj.weight", (width, 4 * width)),
                  (prefix + "input_layernorm.weight", (width,)), (prefix + "post_attention_layernorm.weight", (width,))]
        tensors += block
        layer += 1
        if sum(4 * shape[0] * (shape[1] if len(shape) > 1 else 1) for _, shape in tensors) >= left:
            return tensors


def many(count):
    return [("model.layers.{}.experts.{}.weight".format(i // 10, i % 10), (256,)) for i in range(count)]


def write_safetensors(path, tensors, seed):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        size = 4
        for extent in shape:
            size *= extent
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    source = random.Random(seed)
    with open(path + ".part", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        while at > 0:
            chunk = (int.from_bytes(source.randbytes(CHUNK), "little") & KEEP) | EXPONENT
            out.write(chunk.to_bytes(CHUNK, "little")[:min(at, CHUNK)])
            at -= CHUNK
    os.rename(path + ".part", path)


def hot(*paths):
    """Reads files, so that the page cache holds them."""
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.read(CHUNK):
                pass


class Inputs:
    """The files of one run, made once in `folder` and kept there for the next."""

    def __init__(self, folder, torch_worker, tenon, seed=20):
        self.folder, self.torch_worker, self.tenon, self.seed = folder, torch_worker, tenon, seed
        os.makedirs(folder, exist_ok=True)

    def safetensors(self, name, tensors):
        path = os.path.join(self.folder, "{}-{}.safetensors".format(name, self.seed))
        if not os.path.exists(path):
            write_safetensors(path, tensors, self.seed)
        return path

    def pt(self, name, tensors):
        """As torch.save writes it: a zip with CRC-32 alone. Where no torch is at hand, as tenon writes it, and said so."""
        path = os.path.join(self.folder, "{}-{}.pt".format(name, self.seed))
        if not os.path.exists(path):
            source = self.safetensors(name, tensors)
            if self.torch_worker:
                self.torch_worker.ask(do="write_pt", source=source, path=path)
            else:
                self.tenon("convert", source, path)
        return path

    def own(self, name, tensors, suffix):
        """The same tensors as tenon itself writes them."""
        path = os.path.join(self.folder, "{}-{}-own.{}".format(name, self.seed, suffix))
        if not os.path.exists(path):
            self.tenon("convert", self.safetensors(name, tensors), path)
        return path
