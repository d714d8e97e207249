#!/usr/bin/env python3
"""`tenon convert --dequantize` against an arithmetic of its own: blocks of random bytes, decoded in Python element by element.

The decoders below are written from docs/formats/gguf.md, one element at a time, in exact fractions that are rounded to float32
once. Every bit must be equal; a NaN of the scale stays a NaN. Needs no package; exits with 77 never.

usage: dequantize_test.py --tenon PATH
"""
import argparse, fractions, json, math, pathlib, random, struct, subprocess, sys, tempfile

F = fractions.Fraction
BLOCK = {"Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34),
         "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210)}
HALVES = {"Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}


def half(block, at):
    return F(struct.unpack_from("<e", block, at)[0])


def signed(byte):
    return byte - 256 if byte > 127 else byte


def nibble(block, at, upper):
    return block[at] >> 4 if upper else block[at] & 15


def bit(block, at, index):
    return block[at + index // 8] >> index % 8 & 1


def simple(kind, block, i):
    """One element of the types with 32 to a block."""
    d, rest = half(block, 0), {"Q4_0": 2, "Q4_1": 4, "Q5_0": 6, "Q5_1": 8, "Q8_0": 2}[kind]
    if kind == "Q8_0":
        return d * signed(block[rest + i])
    q = nibble(block, rest + i % 16, i >= 16)
    if kind in ("Q5_0", "Q5_1"):
        q += 16 * bit(block, rest - 4, i)
    if kind in ("Q4_1", "Q5_1"):
        return d * q + half(block, 2)
    return d * (q - (8 if kind == "Q4_0" else 16))


def packed_scales(block):
    """The eight pairs of 6 bits in bytes 4 to 15."""
    s = block[4:16]
    pairs = [(s[j] & 63, s[j + 4] & 63) for j in range(4)]
    return pairs + [(s[8 + j] % 16 + (s[j] >> 6) * 16, s[8 + j] // 16 + (s[4 + j] >> 6) * 16) for j in range(4)]


def q45_k(kind, block, i):
    scale, minimum = packed_scales(block)[i // 32]
    q = nibble(block, (16 if kind == "Q4_K" else 48) + i // 64 * 32 + i % 32, i // 32 % 2 == 1)
    if kind == "Q5_K":
        q += 16 * (block[16 + i % 32] >> i // 32 & 1)
    return half(block, 0) * scale * q - half(block, 2) * minimum


def q6_k(block, i):
    part, run, lane = i // 128, i // 32 % 4, i % 32
    q = nibble(block, 64 * part + 32 * (run % 2) + lane, run >= 2) + 16 * (block[128 + 32 * part + lane] >> 2 * run & 3)
    # The scale times d has 19 bits, times q 25: one more than float32 holds, so that the order of rounding counts.
    return rounded(half(block, 208) * signed(block[192 + i // 16])) * (q - 32)


def rounded(value):
    return F(struct.unpack("<f", struct.pack("<f", float(value)))[0])  # a product of few bits: double holds it exactly


def element(kind, block, i):
    value = q6_k(block, i) if kind == "Q6_K" else q45_k(kind, block, i) if kind in ("Q4_K", "Q5_K") else simple(kind, block, i)
    return struct.pack("<f", float(value))


def random_block(kind, draw):
    """Random bytes with scales that are numbers: of all sizes, subnormal ones, zeros, both signs."""
    block = bytearray(draw.randbytes(BLOCK[kind][2]))
    for at in HALVES[kind]:
        block[at:at + 2] = struct.pack("<e", draw.choice([0.0, 6e-8, -3e-5, 1.0, -0.37, 65504.0, draw.uniform(-2, 2)]))
    return bytes(block)


def swapped(kind, block):
    block = bytearray(block)
    for at in HALVES[kind]:
        block[at:at + 2] = block[at:at + 2][::-1]
    return bytes(block)


def gguf(tensors, order):
    """Little- or big-endian file of version 3: (name, type id, dims with the innermost first, bytes)."""
    text = lambda s: struct.pack(order + "Q", len(s)) + s.encode()
    infos, data = b"", b""
    for name, kind, dims, values in tensors:
        data += bytes(-len(data) % 32)
        infos += text(name) + struct.pack(order + "I", len(dims)) + struct.pack(f"{order}{len(dims)}Q", *dims)
        infos += struct.pack(order + "IQ", kind, len(data))
        data += values
    head = b"GGUF" + struct.pack(order + "IQQ", 3, len(tensors), 0) + infos
    return head + bytes(-len(head) % 32) + data


def safetensors(path):
    raw = path.read_bytes()
    size = struct.unpack_from("<Q", raw)[0]
    header = json.loads(raw[8:8 + size])
    return {name: (v["dtype"], v["shape"], raw[8 + size + v["data_offsets"][0]:8 + size + v["data_offsets"][1]])
            for name, v in header.items() if name != "__metadata__"}


def same(got, want):
    if got == want or all(math.isnan(struct.unpack("<f", x)[0]) for x in (got, want)):
        return True
    return float(struct.unpack("<f", got)[0]) == 0 == float(struct.unpack("<f", want)[0])  # fractions know no -0


def run(tenon, folder, order):
    draw = random.Random(7)
    rows, wrong = {kind: [random_block(kind, draw) for _ in range(6)] for kind in BLOCK}, 0
    stored = {kind: blocks if order == "<" else [swapped(kind, b) for b in blocks] for kind, blocks in rows.items()}
    plain = struct.pack(order + "3f", 1.5, -2.0, 3.25)
    tensors = [(kind, BLOCK[kind][0], [BLOCK[kind][1] * 2, 3], b"".join(stored[kind])) for kind in BLOCK] + [("plain", 0, [3], plain)]
    source, out = folder / "m.gguf", folder / "m.safetensors"
    source.write_bytes(gguf(tensors, order))
    refused = subprocess.run([tenon, "convert", source, out], capture_output=True, text=True)
    if refused.returncode != 4 or "--dequantize" not in refused.stderr or out.exists():
        print(f"without the flag: exit {refused.returncode}, {refused.stderr}")
        wrong += 1
    subprocess.run([tenon, "convert", source, out, "--dequantize"], check=True, capture_output=True)
    written = safetensors(out)
    for kind, blocks in rows.items():
        dtype, shape, values = written[kind]
        want = [element(kind, block, i) for block in blocks for i in range(BLOCK[kind][1])]
        got = [values[i:i + 4] for i in range(0, len(values), 4)]
        bad = sum(not same(a, b) for a, b in zip(got, want)) + abs(len(got) - len(want))
        if bad or dtype != "F32" or shape != [3, BLOCK[kind][1] * 2]:
            print(f"{kind} ({order}): {bad} of {len(want)} elements differ, {dtype} {shape}")
            wrong += 1
    if written["plain"] != ("F32", [3], struct.pack("<3f", 1.5, -2.0, 3.25)):
        print(f"plain ({order}): {written['plain']}")
        wrong += 1
    wrong += adapted(tenon, source, out, folder / "adapted.safetensors")
    out.unlink()
    return wrong


def adapted(tenon, source, target, out):
    """The plan that check() finds by itself gives the same values as --dequantize."""
    done = subprocess.run([tenon, "adapt", source, "--to", target, "-o", out, "--accept", "lossy", "--force", "--json"], capture_output=True)
    ops = {op["op"] for op in json.loads(done.stdout)["plan"]["ops"]} if done.returncode == 0 else set()
    if ops == {"dequantize"} and safetensors(out) == safetensors(target):
        return 0
    print(f"adapt: exit {done.returncode}, operations {ops}, {done.stderr.decode()}")
    return 1


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tenon", required=True)
    tenon = p.parse_args().tenon
    with tempfile.TemporaryDirectory() as folder:
        wrong = sum(run(tenon, pathlib.Path(folder), order) for order in "<>")
    print(f"{len(BLOCK)} block types in two byte orders: {'all elements equal' if not wrong else f'{wrong} problems'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
