#!/usr/bin/python3
"""Makes tests/conformance/data: small checkpoints of every kind that tenon reads, and expected.json beside them.

usage: generate.py [FOLDER]      needs python3-torch 1.13 (Debian); the files are committed, so the tests need no Python

A listing comes from the live tensors, not from a decoder: name, dtype, shape, SHA-256 of the dense little-endian bytes (null: no bytes).
`refuse` files are made by damaging good ones or by assembling pickles by hand.
"""
import argparse, collections, hashlib, io, json, os, pathlib, pickle, struct, sys, zipfile
import torch
from torch import nn

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent / "data")
EXPECTED = {}


def dense_bytes(tensor):
    tensor = tensor.detach()
    if tensor.is_quantized:
        tensor = tensor.int_repr()
    tensor = tensor.contiguous()
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().tobytes()


def row(name, tensor):
    digest = None if tensor.is_meta else "sha256:" + hashlib.sha256(dense_bytes(tensor)).hexdigest()
    return {"name": name, "dtype": str(tensor.dtype)[6:], "shape": list(tensor.shape), "digest": digest}


def rows(value, path=()):
    """Every tensor below a value, under the keys that lead to it."""
    name = ".".join(map(str, path))
    if isinstance(value, torch.Tensor):
        if value.layout == torch.sparse_coo:
            return [row(name + ".<indices>", value._indices()), row(name + ".<values>", value._values())]
        return [row(name, value)]
    if isinstance(value, dict):
        return [r for key, item in value.items() for r in rows(item, path + (key,))]
    if isinstance(value, (list, tuple)):
        return [r for i, item in enumerate(value) for r in rows(item, path + (i,))]
    return []


def expect(name, tensors, format):
    EXPECTED[name] = {"format": format, "tensors": tensors}


def save(name, value, tensors=None, legacy=True, **options):
    """The same value as a zip and as a legacy file."""
    tensors = rows(value) if tensors is None else tensors
    torch.save(value, OUT / f"{name}.pt", **options)
    expect(f"{name}.pt", tensors, "pytorch-zip")
    if legacy:
        torch.save(value, OUT / f"{name}.legacy.pt", _use_new_zipfile_serialization=False, **options)
        expect(f"{name}.legacy.pt", tensors, "pytorch-legacy")


def refuse(name, data):
    (OUT / name).write_bytes(data)
    EXPECTED[name] = {"refuse": True}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("scale", torch.arange(3.0))

    def forward(self, x):
        return self.drop(self.norm(self.conv(x))) * self.scale[0]


def plain_files():
    randn = torch.randn
    save("dtypes", {str(d)[6:]: (randn(2, 3) * 4).to(d) for d in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
        torch.bool, torch.complex64, torch.complex128)})
    base = randn(4, 6)
    save("views", {"base": base, "t": base.t(), "steps": base[::2, 1::2], "row": base[2], "wide": randn(3, 1).expand(3, 4),
                   "last": randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)})
    tied = nn.Parameter(randn(5, 2))
    save("shared", collections.OrderedDict(emb=tied, head=tied, flat=tied.data.view(-1)))
    save("shapes", {"scalar": torch.tensor(2.5), "empty": torch.empty(0, 3), "rank8": randn(1, 2, 1, 1, 2, 1, 1, 1)})
    save("bare", randn(2, 2))
    save("list", [randn(1), (randn(2), {"deep": [torch.arange(3)]})])
    save("names", {"": randn(1), "a.b": randn(1), "a/b": randn(1), "schön 🙂": randn(1), "new\nline": randn(1), 'quote"\\': randn(1)})
    save("integer_keys", {0: randn(1), -5: randn(1), 2**40: randn(1), "0": randn(1)})
    for protocol in (2, 3, 4, 5):
        save(f"protocol{protocol}", {"a": randn(2), "b": {"c": [randn(1), "text", 70000, 2**70, None, True, 1.5, b"\0\xff"]}},
             pickle_protocol=protocol)
    save("meta", {"m": torch.empty(1000, 10, device="meta"), "r": randn(2)}, legacy=False)
    save("sparse", {"coo": torch.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3)), "dense": randn(2)}, legacy=False)
    scales, points = torch.tensor([0.1, 0.2], dtype=torch.float64), torch.tensor([0, 1])
    channel = torch.quantize_per_channel(randn(2, 3), scales, points, 0, torch.qint8)
    whole = torch.quantize_per_tensor(randn(3), 0.1, 2, torch.quint8)
    save("quantised", {"c": channel, "t": whole}, legacy=False,
         tensors=[row("c", channel), row("c.<scales>", scales), row("c.<zero_points>", points), row("t", whole)])
    many = {f"layer.{i}.weight": torch.full((1,), float(i)) for i in range(80)}
    save("many", many, legacy=False)


def training_files():
    block = Block()
    save("state_dict", block.state_dict(), legacy=True)
    optimizer = torch.optim.AdamW(block.parameters(), 1e-3, amsgrad=True)
    block(torch.ones(2, 2, 4, 4)).sum().backward()
    optimizer.step()
    save("optimizer", optimizer.state_dict())
    save("checkpoint", {"epoch": 3, "state_dict": block.state_dict(), "optimizer": optimizer.state_dict(),
                        "args": argparse.Namespace(lr=0.1, layers=[1, 2])})
    sequential = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    save("whole_module", sequential, tensors=rows(dict(sequential.state_dict())), legacy=False)  # a legacy one carries PyTorch's sources
    scripted = torch.jit.script(block.eval())
    scripted.save(str(OUT / "script.ts.pt"))
    expect("script.ts.pt", rows(dict(block.state_dict())), "torchscript")


def damaged_files():
    good = (OUT / "state_dict.pt").read_bytes()
    legacy = (OUT / "state_dict.legacy.pt").read_bytes()
    refuse("cut.pt", good[: len(good) // 2])
    refuse("cut.legacy.pt", legacy[:-7])
    refuse("empty.pt", b"")
    refuse("zeros.pt", bytes(4096))
    refuse("page.pth", b"<!DOCTYPE html><html><title>Sign in</title></html>\n")
    refuse("pointer.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 102502400\n")
    refuse("text.pt", b"just some notes, no weights at all\n")


def assembled(name, pickled, storage=bytes(24)):
    """A zip of PyTorch's kind around a pickle that no PyTorch would write."""
    with zipfile.ZipFile(OUT / name, "w") as archive:
        for entry, data in (("archive/data.pkl", pickled), ("archive/data/0", storage), ("archive/version", b"3\n")):
            archive.writestr(zipfile.ZipInfo(entry), data)
    EXPECTED[name] = {"refuse": True}


def hostile_files():
    def tensor(key=b"0", count=6, offset=0, size=(2, 3), stride=(3, 1)):
        numbers = lambda values: b"(" + b"".join(b"J" + struct.pack("<i", v) for v in values) + b"t"
        text = lambda t: b"X" + struct.pack("<I", len(t)) + t
        identity = b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(key) + text(b"cpu") + b"\x8a\x08" + struct.pack("<q", count) + b"tQ"
        return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + b"\x8a\x08" + struct.pack("<q", offset) + numbers(size) + numbers(stride)
                + b"\x89ccollections\nOrderedDict\n)RtR")

    one = lambda t: b"\x80\x02}(X\x01\0\0\0a" + t + b"u."
    assembled("hostile_offset.pt", one(tensor(offset=1)))
    assembled("hostile_negative.pt", one(tensor(stride=(-3, 1))))
    assembled("hostile_huge.pt", one(tensor(size=(2**31 - 1,) * 4, stride=(0,) * 4)))
    assembled("hostile_rank.pt", one(tensor(size=(2, 3), stride=(3,))))
    assembled("hostile_count.pt", one(tensor(count=7)))
    assembled("hostile_key.pt", one(tensor(key=b"../../secret")))
    assembled("hostile_missing.pt", one(tensor(key=b"9")))
    assembled("hostile_deep.pt", b"\x80\x02" + b"(" * 5000 + b"t" * 5000 + b".")
    assembled("hostile_opcode.pt", b"\x80\x02\xff.")
    assembled("hostile_underflow.pt", b"\x80\x02R.")
    assembled("hostile_length.pt", b"\x80\x02X\xff\xff\xff\x7fabc.")
    assembled("hostile_memo.pt", b"\x80\x02h\x07.")


torch.manual_seed(7)
OUT.mkdir(exist_ok=True)
plain_files()
training_files()
damaged_files()
hostile_files()
(OUT / "expected.json").write_text(json.dumps(EXPECTED, indent=0, ensure_ascii=False) + "\n")
print(len(EXPECTED), "files,", sum(f.stat().st_size for f in OUT.iterdir()), "bytes")
