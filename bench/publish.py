"""Puts a run onto its pages: the full tables into docs/speed.md, those with a goal into README.md, the plots into docs/plots.

A page says where: between `<!-- bench: NAME -->` and `<!-- end -->`; what stood there is replaced.
"""
import re

import plot
import report


def conditions(rows):
    """One line: which commit, what machine, how busy."""
    first = rows[0]
    machine = first["machine"]
    return "Commit `{}`, {}, {} cores, {} GiB, kernel {}, load {} at the start, files in the page cache, seed {}.".format(
        first["commit"], machine["cpu"], machine["cores"], machine["memory_gib"], machine["kernel"], machine["load"][0], first["seed"])


def short_table(rows):
    head = ("what", "against", "ratio", "worst quartile", "goal")
    lines = []
    for one in report.summaries(rows):
        if one["goal"] and not one["against"].startswith(("limit", "bare")):
            lines.append((one["title"], one["against"], report.ratio_text(one["ratio"]), report.ratio_text(one["worst_quartile"]), report.verdict(one)))
    return report.table(lines, True, head)


def blocks(rows):
    full = report.table([report.cells(one) for one in report.summaries(rows)], True)
    memory = report.table(list(report.memory_cells(rows)), True, report.MEMORY_HEAD)
    return {"conditions": conditions(rows), "short": short_table(rows), "full": full, "memory": memory}


def fill(page, texts):
    text = page.read_text()
    for name, block in texts.items():
        marked = re.compile("(<!-- bench: {} -->\n).*?(<!-- end -->)".format(name), re.DOTALL)
        text = marked.sub(lambda found: found[1] + block + "\n" + found[2], text)
    page.write_text(text)


def publish(rows, root):
    plot.draw(rows, root / "docs" / "plots")
    for page in (root / "README.md", root / "docs" / "speed.md"):
        fill(page, blocks(rows))
