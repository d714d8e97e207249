#!/usr/bin/env python3
"""The pages of the causes: all in one form, and what they show comes true.

usage: cause_pages_test.py [--tenon PATH]

A page has seven sections in one order and fewer than 60 lines, and speaks of causes that have pages. Its last ```python block
is run as a program of its own in an empty folder; every line of the ```text block after it must stand in what was printed, spaces
and line breaks aside. With --tenon, every cause that the program knows must have a page.

Exits with 77 (CTest: skipped) where PyTorch is not installed; the form is checked before.
"""
import argparse, contextlib, json, os, pathlib, re, runpy, subprocess, sys, tempfile, traceback

PAGES = pathlib.Path(__file__).resolve().parents[2] / "docs/causes"
SECTIONS = ["What.", "How it looks.", "Why.", "How tenon knows.", "How to fix it.", "Look-alikes.", "Reproduction."]
REPRODUCTION = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```\n*\Z", re.S)
LINE_LIMIT = 60
CODE_LINE_LIMIT = 15


def complaints_about_form(page, ids):
    text = page.read_text()
    sections = re.findall(r"^\*\*([A-Z][^*]*\.)\*\*", text, re.M)
    if not text.startswith(f"# {page.stem}\n"):
        yield "does not begin with its name"
    if sections != SECTIONS:
        yield f"has the sections {sections}"
    if text.count("\n") >= LINE_LIMIT:
        yield f"has {text.count(chr(10))} lines, fewer than {LINE_LIMIT} are allowed"
    found = REPRODUCTION.search(text)
    if not found:
        yield "does not end with a ```python block and the ```text block that it prints"
    elif sum(bool(line.strip()) for line in found[1].splitlines()) > CODE_LINE_LIMIT:
        yield f"has a reproduction of more than {CODE_LINE_LIMIT} lines"
    look_alikes = text.partition("**Look-alikes.**")[2].partition("**Reproduction.**")[0]
    if not set(re.findall(r"`([a-z_]+)`", look_alikes)) & (ids - {page.stem}):
        yield "compares itself with no other cause"


def run_as_program(code, folder):
    """Runs `code` as `__main__` in a fork of this process, which has PyTorch loaded already; returns what it printed."""
    script, printed = pathlib.Path(folder, "reproduction.py"), pathlib.Path(folder, "printed.txt")
    script.write_text(code)
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        with printed.open("w") as out, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                runpy.run_path(str(script), run_name="__main__")
            except BaseException:
                traceback.print_exc()
        os._exit(0)
    os.waitpid(child, 0)
    return printed.read_text()


def one_line(text):
    return " ".join(text.split())


def complaints_about_reproduction(page):
    code, shown = REPRODUCTION.search(page.read_text()).groups()
    with tempfile.TemporaryDirectory() as folder:
        printed = run_as_program(code, folder)
    for line in shown.splitlines():
        if one_line(line) not in one_line(printed):
            yield f"shows a line that was not printed:\n    {line}\n  printed:\n    " + printed.strip().replace("\n", "\n    ")


def complaints_about_the_program(tenon, ids):
    ran = subprocess.run([tenon, "help", "--json"], capture_output=True, text=True, check=True)
    known = [cause["id"] for cause in json.loads(ran.stdout)["causes"]]
    for cause in known:
        if cause not in ids:
            yield f"{cause}.md: the program knows this cause, and there is no page"


def report(complaints):
    complaints = list(complaints)
    for complaint in complaints:
        print("FAILED:", complaint)
    return len(complaints)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon")
    tenon = parser.parse_args().tenon
    pages = sorted(PAGES.glob("*.md"))
    ids = {page.stem for page in pages}
    failed = report(f"{page.name}: {text}" for page in pages for text in complaints_about_form(page, ids))
    if tenon:
        failed += report(complaints_about_the_program(tenon, ids))
    if failed:
        return 1
    try:
        import torch  # noqa: F401  here once, so that each fork has it
    except ImportError as missing:
        print(f"SKIPPED: {sys.executable} has no PyTorch ({missing}); {len(pages)} pages have the form, none was run")
        return 77
    failed = report(f"{page.name}: {text}" for page in pages for text in complaints_about_reproduction(page))
    print(f"{len(pages)} pages, {failed} lines that did not come true")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
