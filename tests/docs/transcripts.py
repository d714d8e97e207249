#!/usr/bin/env python3
"""Runs the ```console blocks of Markdown files and compares what they print with what the document shows.

usage: transcripts.py --tenon PATH [--update] [--causes COUNT] FILE.md...

A block is run from top to bottom in a copy of examples/data/tiny/, by bash, with `tenon` on the PATH; where the document says
`<!-- files: SCRIPT -->`, in the folder that the script makes. Lines that begin with "$ " are commands; the lines up to the next one
are their output (stdout and stderr as they come). With --update the documents are rewritten to what was printed, for a person to
read in review.

Every report of a failure must say in its first two lines what is wrong and in its last what to type. --causes: the documents
must show at least so many different causes as the first one of a report.
"""
import argparse, os, pathlib, re, shutil, subprocess, sys, tempfile

REPO = pathlib.Path(__file__).resolve().parents[2]
FENCE = "```"


FILES = re.compile(r"<!-- files: (\S+) -->")
CAUSE = re.compile(r"^(?:error|warning)\[(\w+)\]: ")
COMMAND = re.compile(r"^  (tenon (adapt|check|convert|explain|help|inspect|verify)|git|model\.)\b")


def first_cause(lines):
    return next((match[1] for line in lines if (match := CAUSE.match(line))), None)


def report_problem(lines):
    """What a report lacks: its first two lines name what is wrong, its last is a command. None where it lacks nothing."""
    is_named = lines and (lines[0].startswith("tenon: error: ") or any(CAUSE.match(line) for line in lines[:2])
                          or re.match("(does not (?:load|save|save or load): (?!the text names)|no verdict: )", lines[0]))
    if not is_named:
        return f"the first two lines do not say what is wrong: {lines[:2]}"
    if not COMMAND.match(lines[-1]):
        return f"the last line is nothing to type: {lines[-1]!r}"
    return None


def run(command, folder, tenon):
    env = dict(os.environ, PATH=f"{tenon.parent}:{os.environ['PATH']}", NO_COLOR="1", COLUMNS="100", LC_ALL="C.UTF-8")
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120)
    return [line.rstrip() for line in done.stdout.decode("utf-8", "replace").splitlines()]


def rerun(block, folder, tenon):
    """The block as it would print today."""
    fresh, at = [], 0
    while at < len(block):
        line = block[at]
        if not line.startswith("$ "):
            at += 1  # old output: replaced by what the command above prints
            continue
        command = line[2:]
        fresh.append(line)
        at += 1
        while command.endswith("\\") and at < len(block):
            command += "\n" + block[at]
            fresh.append(block[at])
            at += 1
        fresh += run(command, folder, tenon)
    return fresh


def reports(block):
    """(command, output) of every report of a failure in a block."""
    command, output = None, []
    for line in [*block, "$ "]:
        if not line.startswith("$ "):
            output.append(line)
            continue
        is_report = command and re.match("tenon (check|explain) ", command) and not re.search("--(json|quiet|all)", command)
        if is_report and output and not re.match(r"[\d,]+ of [\d,]+ tensors? fit", output[0]):
            yield command, output
        command, output = line[2:], []


def rewritten(text, tenon):
    """The document with all its console blocks run, how many there were, and the reports in them."""
    out, lines, at, count, found = [], text.split("\n"), 0, 0, []
    script = FILES.search(text)
    while at < len(lines):
        out.append(lines[at])
        at += 1
        if out[-1].strip() != FENCE + "console":
            continue
        end = lines.index(FENCE, at)
        with tempfile.TemporaryDirectory() as folder:
            if script:
                subprocess.run([sys.executable, REPO / script[1], folder], check=True)
            else:
                shutil.copytree(REPO / "examples/data/tiny", folder, dirs_exist_ok=True)
            fresh = rerun(lines[at:end], folder, tenon)
        out += fresh
        found += reports(fresh)
        at, count = end, count + 1
    return "\n".join(out), count, found


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tenon", required=True, type=pathlib.Path)
    p.add_argument("--update", action="store_true")
    p.add_argument("--causes", type=int, default=0)
    p.add_argument("files", nargs="+", type=pathlib.Path)
    a = p.parse_args()
    if not a.tenon.is_file():
        p.error(f"{a.tenon}: there is no such program")
    failed = total = 0
    causes = set()
    for path in a.files:
        shown = path.read_text()
        now, count, found = rewritten(shown, a.tenon.resolve())
        total += count
        for command, lines in found:
            causes.add(first_cause(lines))
            if problem := report_problem(lines):
                failed += 1
                print(f"{path}: {command}: {problem}")
        if now == shown:
            continue
        if a.update:
            path.write_text(now)
            print(f"{path}: rewritten")
            continue
        failed += 1
        print(f"{path}: the document shows something else than the program prints (--update rewrites it)")
        for was, is_ in zip(shown.split("\n"), now.split("\n")):
            if was != is_:
                print(f"  shown:   {was}\n  printed: {is_}")
                break
    causes.discard(None)
    print(f"{total} console blocks in {len(a.files)} documents, {len(causes)} causes, {failed} differences")
    if len(causes) < a.causes:
        print(f"{a.causes} causes were to be shown, only these are: {sorted(causes)}")
        failed += 1
    return 1 if failed or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
