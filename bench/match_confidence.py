#!/usr/bin/env python3
"""How sure the matcher is, against how often it is right.

usage: match_confidence.py --pairs FOLDER [--tenon PATH] [--markdown]

FOLDER holds pairs of naming schemes as JSON: {"source": BLUEPRINT, "target": BLUEPRINT, "truth": {KEY: {"from": KEY or [KEY, ...]}}}. Each pair
is asked as it is and changed: a tenth of the modules dropped from the source, a tenth added on one side or on both (shapes of others, words of
their own for each side), a third of the layers dropped. Prints, by band of confidence, how many answers there are, the share that is right, and the
share of all tensors with an origin that are answered rightly at this confidence or above.
"""
import argparse, copy, json, os, pathlib, random, re, subprocess, sys, tempfile

SOURCE_WORDS = ["aux", "adapter", "ema", "side", "memory", "queue", "probe", "out2", "fc3", "norm3"]
TARGET_WORDS = ["gater", "extra", "proj2", "ln_aux", "bias_net", "fuse", "branch", "teacher", "head2", "mlp2"]
BANDS = [0, 0.5, 0.85, 0.98, 1]
LAYER = re.compile(r"(?:^|[._/])(?:layers?|blocks?|blk|h|stages)[._](\d+)[._]")


def module(name):
    return name.rsplit(".", 1)[0]


def dropped(tensors, rnd):
    gone = {m for m in sorted({module(t["name"]) for t in tensors}) if rnd.random() < 0.1}
    return [t for t in tensors if module(t["name"]) not in gone]


def with_extras(tensors, words, rnd):
    modules = {}
    for t in tensors:
        modules.setdefault(module(t["name"]), []).append(t)
    names, result = {t["name"] for t in tensors}, list(tensors)
    for _ in range(max(1, len(modules) // 10)):
        like = rnd.choice(sorted(modules))
        parent = module(like) + "." if "." in like and rnd.random() < 0.7 else ""
        new = parent + rnd.choice(words) + rnd.choice(["", str(rnd.randrange(9))])
        for t in modules[like]:
            name = new + "." + t["name"].rsplit(".", 1)[-1]
            if name not in names:
                names.add(name)
                result.append(dict(t, name=name))
    return result


def shorter(tensors):
    numbers = [int(m.group(1)) for t in tensors for m in [LAYER.search(t["name"])] if m]
    if not numbers or max(numbers) < 3:
        return tensors
    last = max(numbers) - (max(numbers) + 1) // 3
    return [t for t in tensors if not (m := LAYER.search(t["name"])) or int(m.group(1)) <= last]


def variants(pair, seed):
    rnd = random.Random(seed)
    yield pair
    for kind in ("dropped", "source extras", "target extras", "both extras", "dropped and both extras", "shorter"):
        new = copy.deepcopy(pair)
        source, target = new["source"], new["target"]
        if "dropped" in kind: source["tensors"] = dropped(source["tensors"], rnd)
        if kind == "shorter": source["tensors"] = shorter(source["tensors"])
        if kind != "target extras" and "extras" in kind: source["tensors"] = with_extras(source["tensors"], SOURCE_WORDS, rnd)
        if kind != "source extras" and "extras" in kind: target["tensors"] = with_extras(target["tensors"], TARGET_WORDS, rnd)
        yield new


def origins(truth, source, target):
    have, want = ({t["name"] for t in side["tensors"]} for side in (source, target))
    result = {}
    for key, origin in truth.items():
        froms = origin["from"] if isinstance(origin["from"], list) else [origin["from"]]
        if key in want and have.issuperset(froms): result[key] = sorted(froms)
    return result


def mapping(tenon, pair):
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, side + ".blueprint.json") for side in ("source", "target")]
        for path, side in zip(paths, ("source", "target")): pathlib.Path(path).write_text(json.dumps(pair[side]))
        done = subprocess.run([tenon, "check", paths[0], "--against", paths[1], "--json"], capture_output=True)
        return json.loads(done.stdout)["mapping"]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--pairs", required=True)
    p.add_argument("--tenon", default="build/release/tenon")
    p.add_argument("--markdown", action="store_true")
    a = p.parse_args()
    answers, wanted = [], 0
    for seed, path in enumerate(sorted(pathlib.Path(a.pairs).glob("*.json"))):
        for pair in variants(json.loads(path.read_text()), seed):
            truth = origins(pair["truth"], pair["source"], pair["target"])
            wanted += len(truth)
            answers += [(m["confidence"], sorted(m["from"]) == truth.get(m["to"])) for m in mapping(a.tenon, pair)]
    row = "| {} | {} | {} | {} |" if a.markdown else "{:>14} {:>9} {:>9} {:>9}"
    print(row.format("confidence", "answers", "right", "coverage"))
    if a.markdown: print("|---|---|---|---|")
    for low, high in reversed(list(zip(BANDS, BANDS[1:] + [1.01]))):
        band = [right for sure, right in answers if low <= sure < high]
        above = sum(right for sure, right in answers if sure >= low)
        if band: print(row.format(f"{low:g} .. {high:g}" if low < 1 else "1", len(band), f"{sum(band) / len(band):.4f}", f"{above / max(wanted, 1):.3f}"))


if __name__ == "__main__":
    sys.exit(main())
