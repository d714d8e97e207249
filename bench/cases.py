"""What is compared with what. A case yields comparisons: a baseline, tenon's side, and the ratio that is the goal (baseline / tenon; more is better).

Goals and the reasons for them: bench/README.md. `torch` is asked in process, where its import does not count; tenon as a whole process wherever it is a
command, so that its start counts. Every file is in the page cache when it is measured (hot).
"""
import os

import inputs
from measure import run


class Comparison:
    def __init__(self, case, title, against, baseline, tenon, goal=None, pairs=None, most_ms=None, note=""):
        self.case, self.title, self.against, self.goal = case, title, against, goal
        self.baseline, self.tenon, self.pairs, self.most_ms, self.note = baseline, tenon, pairs, most_ms, note


class Bench:
    """The programs and files that cases use."""

    def __init__(self, tenon, limits, in_process, libtorch, torches, files, megabytes, count, folder):
        self.tenon, self.limits, self.in_process, self.libtorch, self.torches = tenon, limits, in_process, libtorch, torches
        self.files, self.megabytes, self.count, self.folder = files, megabytes, count, folder

    def main_pt(self, megabytes=None):
        megabytes = megabytes or self.megabytes
        return self.hot(self.files.pt("{}MB".format(megabytes), inputs.transformer(megabytes)))

    def main_own(self, suffix, megabytes=None):
        megabytes = megabytes or self.megabytes
        return self.hot(self.files.own("{}MB".format(megabytes), inputs.transformer(megabytes), suffix))

    def many(self, kind):
        tensors = inputs.many(self.count)
        name = "{}tensors".format(self.count)
        return self.hot(self.files.pt(name, tensors) if kind == "pt" else self.files.safetensors(name, tensors))

    def hot(self, path):
        inputs.hot(path)
        return path

    def out(self, suffix):
        """A name to write to, free again."""
        path = os.path.join(self.folder, "out." + suffix)
        if os.path.exists(path):
            os.remove(path)
        return path

    def command(self, *words):
        return lambda: run(self.tenon, *words)

    def anchors(self, ask):
        """(label, function, is the goal's) for each torch: `ask(worker, mmap, fresh)` gives the function. The first load of a process is what a program
        does; the same again into warm memory is torch at its best. Goals are held against both; mmap=True reads no value and stands beside them."""
        for torch in self.torches:
            yield "torch {} load, first in a process".format(torch.version), ask(torch.worker, False, True), True
            yield "torch {} load, again into warm memory".format(torch.version), ask(torch.worker, False, False), True
            if torch.mmap:
                yield "torch {} load, mmap".format(torch.version), ask(torch.worker, True, False), False


def size_text(megabytes):
    return "{:g} GB".format(megabytes / 1000) if megabytes >= 1000 else "{} MB".format(megabytes)


def start_up(bench):
    yield Comparison("start", "tenon --version", "true", lambda: run("true"), bench.command("--version"), most_ms=5)


def inspect(bench, megabytes=None):
    megabytes = megabytes or bench.megabytes
    path = bench.main_pt(megabytes)
    goal = 250 if megabytes >= 4000 else 100 if megabytes >= 1000 else None
    asked = lambda worker, mmap, fresh: lambda: worker.ask(do="load", path=path, mmap=mmap, fresh=fresh)
    for label, load, has_goal in bench.anchors(asked):
        yield Comparison("inspect-{}".format(megabytes), "inspect {} .pt, whole process".format(size_text(megabytes)), label, load,
                         bench.command("inspect", path), goal if has_goal else None, most_ms=10)


def inspect_large(bench):
    yield from inspect(bench, 4000)


def many_tensors(bench):
    path = bench.many("pt")
    title = "list {:,} tensors .pt, in process".format(bench.count)
    opened = lambda: bench.in_process.ask("open", path)
    for torch in bench.torches:
        yield Comparison("many", title, "torch {} load".format(torch.version), lambda: torch.worker.ask(do="list", path=path), opened, 100, pairs=5)
        if torch.mmap:
            yield Comparison("many", title, "torch {} load, mmap".format(torch.version),
                             lambda: torch.worker.ask(do="list", path=path, mmap=True), opened, pairs=5)
    yield Comparison("many", title, "bare walk of the metadata", lambda: bench.limits.ask("walk", path), opened, 0.25)
    yield Comparison("many-command", "inspect {:,} tensors, whole process".format(bench.count), "bare walk of the metadata",
                     lambda: bench.limits.ask("walk", path), bench.command("inspect", path))
    yield Comparison("many-json", "inspect --json {:,} tensors, whole process".format(bench.count), "bare walk of the metadata",
                     lambda: bench.limits.ask("walk", path), bench.command("inspect", "--json", path))


def many_safetensors(bench):
    path = bench.many("safetensors")
    for torch in bench.torches:
        if torch.safetensors:
            yield Comparison("many-safetensors", "list {:,} tensors .safetensors, in process".format(bench.count),
                             "safetensors {} safe_open".format(torch.safetensors),
                             lambda: torch.worker.ask(do="safetensors_list", path=path), lambda: bench.in_process.ask("open", path), pairs=5)


def load(bench):
    """Into the parameters of a model that is there already; tenon verifies checksums on the way."""
    if not bench.libtorch:
        return
    foreign, own = bench.main_pt(), bench.main_own("safetensors")
    bench.libtorch.ask("model", foreign)
    checked_first = lambda path: lambda: bench.libtorch.ask("load", path)
    while_reading = lambda path: lambda: bench.libtorch.ask("load", path, "once")
    title = "load {} into a model, verified while reading".format(size_text(bench.megabytes))
    title_first = "load {} into a model, verified first".format(size_text(bench.megabytes))
    for torch in bench.torches:
        torch.worker.ask(do="model", path=foreign)
        ways = [("first in a process", False, True), ("into warm memory", False, False)] + ([("mmap", True, False)] if torch.mmap else [])
        for way, mmap, fresh in ways:
            yield Comparison("load", title + " (.pt)", "torch {} load + load_state_dict, {}".format(torch.version, way),
                             lambda: torch.worker.ask(do="load_into", path=foreign, mmap=mmap, fresh=fresh), while_reading(foreign), None if mmap else 8)
        if torch.safetensors:
            yield Comparison("load-own", title + " (.safetensors)", "safetensors {} safe_open + copy_".format(torch.safetensors),
                             lambda: torch.worker.ask(do="safetensors_into", path=own), while_reading(own))
    for path, case, suffix in ((foreign, "load", " (.pt)"), (own, "load-own", " (.safetensors)")):
        limit = lambda path=path: bench.limits.ask("pread", path, 2)
        yield Comparison(case, title + suffix, "limit: pread into warm memory, 2 threads", limit, while_reading(path), 0.85)
        yield Comparison(case, title_first + suffix, "limit: pread into warm memory, 2 threads", limit, checked_first(path))
    small = bench.main_pt(min(100, bench.megabytes))
    bench.libtorch.ask("model", small)
    yield Comparison("load-libtorch", "load {} into a model, verified while reading (.pt)".format(size_text(min(100, bench.megabytes))), "LibTorch pickle_load",
                     lambda: bench.libtorch.ask("pickle_load", small), while_reading(small), 50, pairs=3)


def save(bench):
    """From a model's memory. tenon's is durable and checksummed; torch.save syncs nothing and checks nothing."""
    source = bench.main_own("safetensors")
    bench.in_process.ask("hold", source)
    for suffix in ("safetensors", "pt"):
        saved = lambda: bench.in_process.ask("save", bench.out("tenon." + suffix))
        title = "save {}, durable and checksummed (.{})".format(size_text(bench.megabytes), suffix)
        for torch in bench.torches:
            torch.worker.ask(do="model", path=bench.main_pt())
            yield Comparison("save", title, "torch {} save, not synced".format(torch.version),
                             lambda: torch.worker.ask(do="save", path=bench.out("torch.pt")), saved, 1.25)
            yield Comparison("save", title, "torch {} save + fsync".format(torch.version),
                             lambda: torch.worker.ask(do="save", path=bench.out("torch.pt"), fsync=True), saved, 2.5)
        yield Comparison("save", title, "limit: O_DIRECT write + fsync",
                         lambda: bench.limits.ask("write", bench.out("limit"), os.path.getsize(source)), saved, 0.9)
    for name in ("tenon.safetensors", "tenon.pt", "torch.pt"):
        bench.out(name)


def verify(bench):
    for kind, path, goal in (("own .safetensors", bench.main_own("safetensors"), 30), ("own .pt", bench.main_own("pt"), 30),
                             ("foreign .pt", bench.main_pt(), 15)):
        yield Comparison("verify", "verify {}, {}, whole process".format(size_text(bench.megabytes), kind), "sha256sum",
                         lambda: run("sha256sum", path), bench.command("verify", path), goal, pairs=5)


def diff(bench):
    a = bench.main_pt()
    copy = os.path.join(bench.folder, "copy.pt")
    if not os.path.exists(copy):
        run("cp", a, copy)
    bench.hot(copy), bench.hot(a)
    title = "diff of two equal {} files, whole process".format(size_text(bench.megabytes))
    yield Comparison("diff", title, "cmp", lambda: run("cmp", a, copy), bench.command("diff", a, copy), 2)
    yield Comparison("diff", title, "limit: memcmp of two maps, 1 thread", lambda: bench.limits.ask("memcmp", a, copy), bench.command("diff", a, copy))
    for torch in bench.torches:
        yield Comparison("diff", title, "torch {} load both + equal".format(torch.version),
                         lambda: torch.worker.ask(do="diff", a=a, b=copy), bench.command("diff", a, copy), 30, pairs=5)
    other = bench.main_own("safetensors")
    yield Comparison("diff", "diff of .pt and .safetensors, whole process", "cmp", lambda: run("cmp", a, copy), bench.command("diff", a, other))
    os.remove(copy)


def convert(bench):
    path = bench.main_pt()
    copied = lambda: run("sh", "-c", 'cp "$0" "$1" && sync "$1"', path, bench.out("copy"))
    yield Comparison("convert", "convert {} .pt to .safetensors".format(size_text(bench.megabytes)), "cp + sync", copied,
                     lambda: run(bench.tenon, "convert", path, bench.out("safetensors")), 1 / 1.15)
    yield Comparison("convert-back", "convert {} .safetensors to .pt".format(size_text(bench.megabytes)), "cp + sync", copied,
                     lambda: run(bench.tenon, "convert", bench.main_own("safetensors"), bench.out("pt")), 1 / 1.15)
    for name in ("copy", "safetensors", "pt"):
        bench.out(name)


CASES = {"start": start_up, "inspect": inspect, "many": many_tensors, "many-safetensors": many_safetensors, "load": load, "save": save,
         "verify": verify, "diff": diff, "convert": convert}
LARGE = {"inspect-large": inspect_large}


def memory_commands(bench):
    """(title, goal in MiB or None, command): what must not grow with the file."""
    path, own = bench.main_pt(), bench.main_own("safetensors")
    size = size_text(bench.megabytes)
    yield "inspect {} .pt".format(size), 16, (bench.tenon, "inspect", path)
    yield "inspect {:,} tensors".format(bench.count), 64, (bench.tenon, "inspect", bench.many("pt"))
    yield "verify {} .pt".format(size), 64, (bench.tenon, "verify", path)
    yield "diff {} .pt .safetensors".format(size), 16, (bench.tenon, "diff", path, own)
    yield "convert {} .pt to .safetensors".format(size), 32, (bench.tenon, "convert", path, bench.out("safetensors"))
    bench.out("safetensors")
