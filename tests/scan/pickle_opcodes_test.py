#!/usr/bin/env python3
"""Holds the pickle machine to CPython's own description of the opcodes (pickletools) and to what CPython's pickler writes.

usage: pickle_opcodes_test.py --tenon BINARY [--seed N] [--count N]

1. The opcode table in src/container/pickle_opcodes.hpp has pickletools' codes and names, and no others.
2. Each opcode, with each kind of argument, is as long for tenon as for pickletools: a class named behind it is found at
   the same byte and after the same number of opcodes.
3. Random objects in all protocols: the same classes and functions, at the same bytes, in the same order.
"""
import argparse, collections, datetime, decimal, fractions, json, pathlib, pickle, pickletools, random, re, struct, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MARKER = b"cmarker.module\nMarker\n"


def table_of_tenon():
    source = (ROOT / "src/container/pickle_opcodes.hpp").read_text()
    codes = dict(re.findall(r"^  (\w+) = (0x[0-9A-F]{2}),$", source, re.M))
    names = dict(re.findall(r'\{Opcode::(\w+), "(\w+)"\}', source))
    return {int(codes[key], 16): name for key, name in names.items()}, len(codes)


def check_table():
    ours, count = table_of_tenon()
    theirs = {ord(op.code): op.name for op in pickletools.opcodes}
    assert count == len(ours), "an opcode has no name"
    assert ours == theirs, f"only tenon: {set(ours.items()) - set(theirs.items())}, only pickletools: {set(theirs.items()) - set(ours.items())}"
    return len(ours)


# One or more arguments for each kind that pickletools knows, by its own names.
TEXT = "a\u00e9\u4e2d"
ARGUMENTS = {
    "uint1": [b"\x05"], "uint2": [b"\x05\x06"], "int4": [struct.pack("<i", -7)], "uint4": [b"\x05\0\0\0"], "uint8": [struct.pack("<Q", 0)],
    "decimalnl_short": [b"7\n", b"01\n", b"00\n", b"-12\n"], "decimalnl_long": [b"7L\n", b"123456789012345678901234567890L\n"],
    "floatnl": [b"1.5\n", b"-1e300\n", b"inf\n"], "float8": [struct.pack(">d", 2.5)],
    "stringnl": [b"'abc'\n", b"\"a\\x41\\n'b\"\n"], "unicodestringnl": [b"abc\n", b"a\\u4e2d\n"],
    "stringnl_noescape": [b"name\n"], "stringnl_noescape_pair": [b"some.module\nName\n"],
    "string1": [b"\x03abc"], "string4": [struct.pack("<i", 3) + b"abc"], "bytes1": [b"\x03a\x80c"], "bytes4": [struct.pack("<I", 3) + b"a\x80c"],
    "bytes8": [struct.pack("<Q", 3) + b"a\x80c"], "bytearray8": [struct.pack("<Q", 3) + b"a\x80c"],
    "unicodestring1": [b"\x06" + TEXT.encode()], "unicodestring4": [struct.pack("<I", 6) + TEXT.encode()],
    "unicodestring8": [struct.pack("<Q", 6) + TEXT.encode()], "long1": [b"\x02\xff\x7f", b"\x00"], "long4": [struct.pack("<i", 12) + b"\x11" * 12],
}
# What must stand on the stack, where it is not what pickletools' stack_before says literally.
PUSHES = {"mark": b"(", "any": b"N", "stackslice": b"N", "int": b"K\x01", "list": b"]", "dict": b"}", "set": b"\x8f", "tuple": b")",
          "str": b"\x8c\x01a", "buffer": b"\x96" + struct.pack("<Q", 1) + b"a"}
SPECIAL = {"SETITEMS": b"}(NN", "ADDITEMS": b"\x8f(N", "APPENDS": b"](N", "DICT": b"(NN", "GET": b"Np5\n0", "BINGET": b"Nq\x050", "LONG_BINGET": b"Nr\x05\0\0\x000",
           "PUT": b"N", "BINPUT": b"N", "LONG_BINPUT": b"N", "MEMOIZE": b"N", "OBJ": b"(cm\nC\nN", "INST": b"(N", "REDUCE": b"cm\nf\n)", "NEWOBJ": b"cm\nC\n)",
           "NEWOBJ_EX": b"cm\nC\n)}", "BUILD": b"cm\nC\n)\x81}", "STACK_GLOBAL": b"\x8c\x01m\x8c\x01n", "BINPERSID": b"N", "POP_MARK": b"(NN",
           "STOP": None, "NEXT_BUFFER": None}  # STOP ends, and buffers are not in a file


def streams_of_opcodes():
    for op in pickletools.opcodes:
        if op.name in SPECIAL and SPECIAL[op.name] is None:
            continue
        before = SPECIAL.get(op.name)
        if before is None:
            before = b"".join(PUSHES[item.name] if item.name in PUSHES else b"N" for item in op.stack_before)
        arguments = ARGUMENTS[op.arg.name] if op.arg else [b""]
        if op.name == "PROTO":
            arguments = [bytes([n]) for n in range(6)]
        if op.name == "GET":
            arguments = [b"5\n"]
        if op.name in ("BINGET", "LONG_BINGET"):
            arguments = [b"\x05" if op.name == "BINGET" else b"\x05\0\0\0"]
        if op.name in ("PUT",):
            arguments = [b"7\n"]
        for argument in arguments:
            end = b"1N." if op.name == "MARK" else b"."  # a mark that is left over is no sound stream
            yield op.name, b"\x80\x04" + before + op.code.encode("latin1") + argument + MARKER + end


class Made:
    """Pickled by the means that classes have: reduce with and without state, items, keywords."""

    def __init__(self, reduced):
        self.reduced = reduced

    def __reduce_ex__(self, protocol):
        return self.reduced(protocol)


class Plain:
    pass


class WithArguments:
    def __new__(cls, *arguments, **keywords):
        return super().__new__(cls)

    def __getnewargs_ex__(self):
        return (1, "a"), {"b": 2}


CLASSES = [collections.OrderedDict, decimal.Decimal, fractions.Fraction, datetime.date, Plain, WithArguments, complex, print, json.dumps]


def value(rng, depth=0):
    plain = [lambda: None, lambda: rng.random() < 0.5, lambda: rng.randrange(-2**70, 2**70), lambda: rng.randrange(300), lambda: rng.uniform(-1e9, 1e9),
             lambda: "".join(rng.choice("ab\n\\'\u00e9\u4e2d\U0001f600\0") for _ in range(rng.randrange(9))), lambda: rng.randbytes(rng.randrange(300)),
             lambda: bytearray(rng.randbytes(rng.randrange(9))), lambda: rng.choice(CLASSES), lambda: decimal.Decimal(rng.randrange(99)), lambda: fractions.Fraction(1, rng.randrange(1, 9)),
             lambda: datetime.date(2000, 1, rng.randrange(1, 28)), lambda: complex(1, 2), lambda: WithArguments()]
    if depth > 3 or rng.random() < 0.3:
        return rng.choice(plain)()
    inner = lambda: value(rng, depth + 1)
    items = [inner() for _ in range(rng.choice((0, 1, 2, 3, 5)))]

    def instance():
        made = Plain()
        made.__dict__.update({f"k{i}": item for i, item in enumerate(items)})
        return made

    return rng.choice([lambda: items, lambda: tuple(items), lambda: {i: item for i, item in enumerate(items)}, lambda: collections.OrderedDict(enumerate(items)),
                       lambda: {1, "a", 2.5}, lambda: frozenset((1, 2)), instance, lambda: [items, items, items], lambda: Made(lambda protocol: (Plain, (), {"x": items}))])()


def globals_of(stream):
    """(name, byte, opcode index) of every GLOBAL, INST and STACK_GLOBAL, memo and all, by pickletools' own reading."""
    found, stack, memo, index = [], [], {}, 0
    recent = None
    for index, (op, argument, position) in enumerate(pickletools.genops(stream)):
        if op.name in ("GLOBAL", "INST"):
            found.append((argument.replace(" ", ".", 1), position, index))
        elif op.name == "STACK_GLOBAL":
            found.append((f"{stack[-2]}.{stack[-1]}", position, index))
        if op.name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            memo[len(memo) if op.name == "MEMOIZE" else int(argument)] = recent
        elif op.name in ("GET", "BINGET", "LONG_BINGET"):
            recent = memo.get(int(argument))
            stack.append(recent)
        elif op.name not in ("PROTO", "FRAME"):
            recent = argument if "UNICODE" in op.name or "STRING" in op.name else None
            if recent is not None:
                stack.append(recent)
    return found


def scan(tenon, folder):
    run = subprocess.run([tenon, "scan", "--json", str(folder)], capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stderr
    return {pathlib.Path(row["file"]).name: row for row in json.loads(run.stdout)["files"]}


def compare(name, stream, row):
    expected = globals_of(stream)
    assert set(row["globals"]) == {g for g, _, _ in expected}, f"{name}: globals {row['globals']}, expected {expected}\n{stream!r}"
    assert row["verdict"] != "malformed", f"{name}: {row['findings']}\n{stream!r}"
    first = {}
    for global_name, position, index in expected:
        first.setdefault(global_name, (position, index))
    for finding in row["findings"]:
        if finding["rule"] in ("pickle-unknown-global", "pickle-dangerous-global") and finding["member"] is None and finding["global"]:
            assert (finding["offset"], finding["opcode_index"]) == first[finding["global"]], f"{name}: {finding}, expected {first[finding['global']]}\n{stream!r}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tenon", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1500)
    options = parser.parse_args()
    opcodes = check_table()
    rng = random.Random(options.seed)
    streams = [(f"opcode_{i:03}_{name}", stream) for i, (name, stream) in enumerate(streams_of_opcodes())]
    for i in range(options.count):
        protocol = i % 6
        streams.append((f"random_{i:05}_p{protocol}", pickle.dumps([value(rng), Plain], protocol)))
    with tempfile.TemporaryDirectory() as folder:
        for name, stream in streams:
            (pathlib.Path(folder) / name).write_bytes(stream)
        rows = scan(options.tenon, folder)
        for name, stream in streams:
            compare(name, stream, rows[name])
    print(f"{opcodes} opcodes, {len(streams)} streams agree with pickletools (seed {options.seed})")


if __name__ == "__main__":
    main()
