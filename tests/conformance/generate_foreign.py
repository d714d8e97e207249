#!/usr/bin/env python3
"""Adds the small files of formats that PyTorch does not write to tests/conformance/data: GGUF, bare pickles, joblib, PyTorch's tar, TorchSharp.

usage: generate_foreign.py [FOLDER]      needs no package; run it after generate.py, whose expected.json it completes

The bytes are put together field by field from docs/formats; a listing comes from the values that were put in, not from a decoder.
"""
import hashlib, io, json, pathlib, pickle, struct, sys, tarfile

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent / "data")
EXPECTED = {}


def row(name, dtype, shape, data):
    return {"name": name, "dtype": dtype, "shape": shape, "digest": "sha256:" + hashlib.sha256(data).hexdigest()}


def write(name, format, data, tensors):
    (OUT / name).write_bytes(data)
    EXPECTED[name] = {"format": format, "tensors": tensors}


def refuse(name, data):
    (OUT / name).write_bytes(data)
    EXPECTED[name] = {"refuse": True}


# ---- GGUF

def gguf(version=3, order="<", alignment=None, tensors=(), pairs=()):
    count = order + ("I" if version == 1 else "Q")
    text = lambda s: struct.pack(count, len(s.encode())) + s.encode()
    number = lambda form, n: struct.pack(order + form, n)
    values = [text("general.architecture") + number("I", 8) + text("llama"), text("f") + number("I", 6) + number("f", 1.5),
              text("tokens") + number("I", 9) + number("I", 8) + struct.pack(count, 6) + b"".join(text(c) for c in "abcdeü"), *pairs]
    if alignment:
        values.append(text("general.alignment") + number("I", 4) + number("I", alignment))
    step = alignment or 32
    infos, data = b"", b""
    for name, kind, dims, elements in tensors:
        data += bytes(-len(data) % step)
        infos += text(name) + number("I", len(dims)) + b"".join(struct.pack(count, d) for d in dims) + number("I", kind) + number("Q", len(data))
        data += elements
    head = b"GGUF" + number("I", version) + struct.pack(count, len(tensors)) + struct.pack(count, len(values)) + b"".join(values) + infos
    return head + bytes(-len(head) % step if data else 0) + data


def text_of(s):
    return struct.pack("<Q", len(s.encode())) + s.encode()


def gguf_files():
    floats, block = struct.pack("<6f", *range(6)), bytes(range(18)) * 2
    swapped = struct.pack(">6f", *range(6))
    rows = [row("w", "float32", [2, 3], floats), row("q", "Q4_0", [2, 32], block)]
    tensors = lambda elements: [("w", 0, [3, 2], elements), ("q", 2, [32, 2], block)]
    for version in (1, 2, 3):
        write(f"v{version}.gguf", "gguf", gguf(version, tensors=tensors(floats)), rows)
    write("big_endian.gguf", "gguf", gguf(order=">", tensors=tensors(swapped)), rows)
    write("aligned.gguf", "gguf", gguf(alignment=64, tensors=tensors(floats)), rows)
    write("vocabulary.gguf", "gguf", gguf(), [])
    blocks = {"Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144), "Q6_K": (14, 256, 210), "IQ4_XS": (23, 256, 136), "MXFP4": (39, 32, 17)}
    of = {name: bytes((7 * i + k) % 256 for i in range(size)) for k, (name, (_, _, size)) in enumerate(blocks.items())}
    write("blocks.gguf", "gguf", gguf(tensors=[(n, k, [e], of[n]) for n, (k, e, _) in blocks.items()]),
          [row(n, n, [e], of[n]) for n, (_, e, _) in blocks.items()])
    part = lambda number, total, tensors: gguf(tensors=tensors, pairs=[
        text_of("split.no") + struct.pack("<IH", 2, number), text_of("split.count") + struct.pack("<IH", 2, 2),
        text_of("split.tensors.count") + struct.pack("<Ii", 5, total)])
    first, second = tensors(floats)
    write("parts-00001-of-00002.gguf", "gguf", part(0, 2, [first]), rows)
    write("parts-00002-of-00002.gguf", "gguf", part(1, 2, [second]), rows[1:])
    refuse("lacking-00001-of-00002.gguf", part(0, 2, [first]))
    refuse("miscounted-00001-of-00002.gguf", part(0, 3, [first]))
    write("miscounted-00002-of-00002.gguf", "gguf", part(1, 3, [second]), rows[1:])
    good = gguf(tensors=tensors(floats))
    refuse("version.gguf", good[:4] + struct.pack("<I", 4) + good[8:])
    refuse("removed_type.gguf", gguf(tensors=[("w", 4, [32], bytes(18))]))
    refuse("outside.gguf", good[:-1])
    refuse("name_twice.gguf", gguf(tensors=[("w", 0, [1], bytes(4)), ("w", 0, [1], bytes(4))]))


# ---- pickles

def integer(n):
    return b"J" + struct.pack("<i", n)


def text(s):
    return b"X" + struct.pack("<I", len(s.encode())) + s.encode()


def raw(data):
    return b"T" + struct.pack("<i", len(data)) + data


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def dict_of(**items):
    return b"}(" + b"".join(text(k) + v for k, v in items.items()) + b"u"


def pickled(opcodes, protocol=2):
    return bytes([0x80, protocol]) + opcodes + b"."


def dtype(code, order="<"):
    return (b"cnumpy\ndtype\n" + tuple_of(raw(code.encode()), integer(0), integer(1)) + b"R"
            + tuple_of(integer(3), raw(order.encode()), b"N", b"N", b"N", integer(-1), integer(-1), integer(0)) + b"b")


def ndarray(shape, kind, elements, fortran=False):
    return (b"cnumpy.core.multiarray\n_reconstruct\n" + tuple_of(b"cnumpy\nndarray\n", tuple_of(integer(0)), raw(b"b")) + b"R"
            + tuple_of(integer(1), tuple_of(*map(integer, shape)), kind, b"\x88" if fortran else b"\x89", elements) + b"b")


def joblib(shape, kind, order, elements, padding=None):
    state = dict(subclass=b"cnumpy\nndarray\n", shape=tuple_of(*map(integer, shape)), order=text(order), dtype=kind, allow_mmap=b"\x88")
    if padding is not None:
        state["numpy_array_alignment_bytes"] = integer(16)
        elements = bytes([padding]) + b"\xff" * padding + elements
    return b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + dict_of(**state) + b"b" + elements


def pickle_files():
    wide, high = bytes(range(16)), bytes(range(240, 256))
    halves = struct.pack("<4h", 1, 3, 2, 4)
    rows = [row("w", "float32", [2, 2], wide), row("h", "float32", [4], high), row("b", "int16", [4], struct.pack("<4h", 1, 2, 3, 4)),
            row("f", "int16", [2, 2], struct.pack("<4h", 1, 2, 3, 4))]
    write("python2.pkl", "pickle", pickled(dict_of(w=ndarray((2, 2), dtype("f4"), raw(wide)), h=ndarray((4,), dtype("f4"), raw(high)),
                                                   b=ndarray((4,), dtype("i2", ">"), raw(struct.pack(">4h", 1, 2, 3, 4))),
                                                   f=ndarray((2, 2), dtype("i2"), raw(halves), True), epoch=integer(3))), rows)
    write("latin1.pkl", "pickle", pickled(ndarray((4,), dtype("f4"), text(high.decode("latin1")))), [row("", "float32", [4], high)])
    write("one.joblib", "pickle", pickled(dict_of(w=joblib((2, 2), dtype("f4"), "C", wide, 3), o=joblib((1,), dtype("O", "|"), "C", pickled(b"](Ne")),
                                                  f=joblib((2, 2), dtype("i2"), "F", halves)), 4),
          [row("w", "float32", [2, 2], wide), row("f", "int16", [2, 2], struct.pack("<4h", 1, 2, 3, 4))])
    for protocol in range(6):
        write(f"plain_{protocol}.pkl", "pickle", pickle.dumps({"a": [1, 2.5, None, "text", 2**70, b"\0\xff"], "b": (True, {3})}, protocol), [])
    refuse("elements_missing.joblib", pickled(joblib((2, 2), dtype("f4"), "C", wide[:8]), 4))
    refuse("magic.legacy.pt", pickled(integer(7)) + pickled(b"M\xe9\x03") + pickled(b"}"))


# ---- PyTorch's tar

def tar(**members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue().rstrip(b"\0") + bytes(1024)


def tar_files():
    three = lambda *parts: b"".join(parts) + b"\x87"
    values = bytes(range(24))
    storages = (pickled(integer(1)) + pickled(three(integer(11), text("cpu"), b"ctorch\nFloatStorage\n")) + struct.pack("<q", 6) + values
                + pickled(b"](" + tuple_of(integer(12), integer(11), integer(3), integer(3)) + b"e"))
    tensor = lambda key, storage, size, stride, offset: (
        pickled(three(integer(key), integer(storage), b"ctorch\nFloatTensor\n"))
        + struct.pack(f"<iI{2 * len(size)}qq", len(size), 0, *size, *stride, offset))
    tensors = pickled(integer(2)) + tensor(21, 11, (2, 3), (3, 1), 0) + tensor(22, 12, (2,), (1,), 1)
    members = dict(sys_info=pickled(dict_of(protocol_version=b"M\xe8\x03", little_endian=b"\x88")),
                   pickle=pickled(b"}(" + text("w") + integer(21) + b"Q" + text("v") + text("22") + b"Qu"), tensors=tensors, storages=storages)
    write("old.tar.pt", "pytorch-tar", tar(**members), [row("w", "float32", [2, 3], values), row("v", "float32", [2], values[16:])])
    refuse("other_version.tar.pt", tar(**{**members, "sys_info": pickled(dict_of(protocol_version=b"K\x07"))}))
    refuse("outside.tar.pt", tar(**{**members, "tensors": pickled(integer(1)) + tensor(21, 12, (4,), (1,), 0)}))


# ---- TorchSharp

def leb(n):
    return bytes([n]) if n < 128 else bytes([n % 128 + 128]) + leb(n // 128)


def sharp_files():
    name = lambda s: leb(len(s)) + s.encode()
    tensor = lambda kind, shape, data: leb(kind) + leb(len(shape)) + b"".join(map(leb, shape)) + data
    weight, bias = bytes(range(12)), bytes(i % 251 for i in range(400))
    entries = leb(2) + name("fc.weight") + tensor(6, [1, 3], weight) + name("fc.bias") + tensor(15, [200], bias)
    write("state_dict.dat", "torchsharp", entries, [row("fc.weight", "float32", [1, 3], weight), row("fc.bias", "bfloat16", [200], bias)])
    write("tensor.dat", "torchsharp", tensor(6, [3], weight), [row("", "float32", [3], weight)])
    doubles = struct.pack("<6d", *[0.5] * 6)
    write("adamw.dat", "torchsharp", name("AdamW") + leb(1) + leb(1) + doubles + b"\1\0" + struct.pack("<q", 7) + tensor(6, [3], weight) * 2 + b"\0",
          [row("state.0.exp_avg", "float32", [3], weight), row("state.0.exp_avg_sq", "float32", [3], weight)])


gguf_files()
pickle_files()
tar_files()
sharp_files()
known = json.loads((OUT / "expected.json").read_text())
(OUT / "expected.json").write_text(json.dumps({**known, **EXPECTED}, indent=0, ensure_ascii=False) + "\n")
print(len(EXPECTED), "files")
