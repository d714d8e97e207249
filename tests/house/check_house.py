#!/usr/bin/env python3
"""Checks the folders and include directions of a source tree against the table of ranks in its ARCHITECTURE.md.

usage: check_house.py TREE
       check_house.py --self-test      makes small wrong trees and requires that each is found out
"""
import pathlib, re, sys, tempfile

RANK = re.compile(r"^\|\s*([\w/]+)/\s*\|\s*(\d+)\s*\|")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SYSTEM_CALLS = {"fcntl.h", "unistd.h", "sys/mman.h", "sys/stat.h", "sys/statvfs.h", "sys/types.h"}
PRINTING = {"iostream", "cstdio", "stdio.h", "fmt/color.h"}
PRINT_CALL = re.compile(r"\b(std::cout|std::cerr|printf|puts|fmt::print)\b")


def ranks(tree):
    found = {}
    for line in (tree / "ARCHITECTURE.md").read_text().splitlines():
        if match := RANK.match(line):
            found[match[1]] = int(match[2])
    return found


def room_of(path, tree):
    parts = path.relative_to(tree).parts
    return "/".join(parts[:2]) if parts[0] == "src" else parts[0]


def problems(tree):
    rank = ranks(tree)
    if not rank:
        yield "ARCHITECTURE.md has no table of ranks"
    for folder in sorted(p for p in (tree / "src").iterdir() if p.is_dir()):
        if f"src/{folder.name}" not in rank:
            yield f"src/{folder.name}: the folder is not in ARCHITECTURE.md"
    for name in rank:
        if not (tree / name).is_dir():
            yield f"{name}: ARCHITECTURE.md names a folder that is not there"
    for top in ("src", "cli", "bridges"):
        for path in sorted((tree / top).rglob("*.[ch]pp")):
            yield from problems_of_file(path, tree, rank)
    yield from problems_of_hall(tree)


def problems_of_hall(tree):
    """The hall is installed alone: its headers include the standard library and each other, torch.hpp LibTorch, too."""
    for path in sorted((tree / "include").rglob("*.hpp")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            known = match and (match[2].startswith("tenon/") or re.fullmatch("[a-z_]+", match[2])
                               or (path.name == "torch.hpp" and match[2].startswith("torch/")))
            if match and (match[1] == '"' or not known):
                yield f"{path.relative_to(tree)}:{number}: the hall includes {match[2]}"


def problems_of_file(path, tree, rank):
    room = room_of(path, tree)
    test = path.stem.endswith("_test")
    library = room.startswith("src/")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        place = f"{path.relative_to(tree)}:{number}"
        match = INCLUDE.match(line)
        if match:
            quoted, header = match[1] == '"', match[2]
            if quoted and "/" in header:
                other = "src/" + header.split("/")[0]
                if room == "bridges" and other in rank:
                    yield f"{place}: a bridge is installed as source and sees only the hall, but includes {header}"
                if other in rank and other != room and rank[other] >= rank.get(room, 0):
                    yield f"{place}: {room} (rank {rank.get(room)}) includes {other} (rank {rank[other]})"
                if other not in rank and library and not test:
                    yield f"{place}: {header} is in no room"
            if library and not test and room != "src/io" and header in SYSTEM_CALLS:
                yield f"{place}: <{header}> belongs to src/io"
            if library and not test and room != "src/io" and header in PRINTING:
                yield f"{place}: the library does not print, but includes <{header}>"
        elif library and not test and PRINT_CALL.search(line) and not line.lstrip().startswith("//"):
            yield f"{place}: the library does not print"
        elif library and not test and "getenv(" in line:
            yield f"{place}: the library reads no environment"


def self_test():
    good = {"ARCHITECTURE.md": "| src/base/ | 0 | x |\n| src/io/ | 1 | x |\n", "src/base/a.cpp": '#include "base/a.hpp"\n',
            "src/io/b.cpp": '#include "base/a.hpp"\n#include <fcntl.h>\n',
            "include/tenon/h.hpp": "#include <string_view>\n#include <tenon/g.hpp>\n"}
    wrong = {
        "upward include": {"src/base/a.cpp": '#include "io/b.hpp"\n'},
        "unknown folder": {"src/attic/a.cpp": "\n"},
        "named folder missing": {"ARCHITECTURE.md": good["ARCHITECTURE.md"] + "| src/none/ | 2 | x |\n"},
        "no ranks": {"ARCHITECTURE.md": "prose\n"},
        "system call outside io": {"src/base/a.cpp": "#include <fcntl.h>\n"},
        "iostream": {"src/base/a.cpp": "#include <iostream>\n"},
        "environment": {"src/base/a.cpp": 'auto home = std::getenv("HOME");\n'},
        "bridge into a room": {"bridges/torch/c.cpp": '#include "base/a.hpp"\n'},
        "hall into a room": {"include/tenon/h.hpp": '#include "base/a.hpp"\n'},
        "hall with a library": {"include/tenon/h.hpp": "#include <fmt/core.h>\n"},
        "printing": {"src/io/b.cpp": 'void f() { fmt::print("x"); }\n'},
    }
    failed = 0
    for name, change in [("good", {})] + list(wrong.items()):
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder)
            for path, text in {**good, **change}.items():
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_text(text)
            for top in ("cli", "bridges"):
                (tree / top).mkdir(exist_ok=True)
            found = list(problems(tree))
        if bool(found) != (name != "good"):
            failed += 1
            print(f"self-test `{name}`: found {found}")
    print(f"{len(wrong) + 1 - failed} of {len(wrong) + 1} trees judged rightly")
    return failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test() else 0
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    found = list(problems(pathlib.Path(sys.argv[1]).resolve()))
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
