"""Rows to a table, to JSON lines, and to a verdict on an older run."""
import json
import statistics

from measure import quartiles

MIB = 1 << 20


def summary(rows):
    """What one comparison's rows say. `ratio` is baseline / tenon."""
    ratios = [row["baseline"]["seconds"] / row["tenon"]["seconds"] for row in rows]
    least, worst_quartile, median, greatest = quartiles(ratios)
    first = rows[0]
    return {
        "case": first["case"], "title": first["title"], "against": first["against"], "goal": first["goal"], "most_ms": first["most_ms"],
        "ratio": median, "least": least, "worst_quartile": worst_quartile, "greatest": greatest, "pairs": len(rows),
        "noisy": sum(not row["quiet"] for row in rows),
        "baseline_seconds": statistics.median(row["baseline"]["seconds"] for row in rows),
        "tenon_seconds": statistics.median(row["tenon"]["seconds"] for row in rows),
        "extra_rss": max((row["tenon"].get("extra_rss", 0) for row in rows), default=0),
    }


def key(row):
    return row["case"], row["title"], row["against"]


def summaries(rows):
    groups = {}
    for row in rows:
        if row.get("kind") == "pair":
            groups.setdefault(key(row), []).append(row)
    return [summary(group) for group in groups.values()]


def seconds_text(seconds):
    return "{:.2f} s".format(seconds) if seconds >= 1 else "{:.3g} ms".format(1e3 * seconds)


def ratio_text(ratio):
    return "{:.0f}x".format(ratio) if ratio >= 20 else "{:.2g}x".format(ratio) if ratio < 1 else "{:.1f}x".format(ratio)


def verdict(one):
    """Met only where the worst quartile holds, too."""
    parts = []
    if one["goal"]:
        held = "met" if one["worst_quartile"] >= one["goal"] else "median only" if one["ratio"] >= one["goal"] else "missed"
        parts.append("{:.3g}x {}".format(one["goal"], held))
    if one["most_ms"]:
        parts.append("{} ms {}".format(one["most_ms"], "met" if 1e3 * one["tenon_seconds"] <= one["most_ms"] else "missed"))
    return ", ".join(parts)


HEAD = ("what", "against", "tenon", "it", "ratio", "worst quartile", "min-max", "pairs", "goal")


def cells(one):
    pairs = str(one["pairs"]) + (" ({} noisy)".format(one["noisy"]) if one["noisy"] else "")
    return (one["title"], one["against"], seconds_text(one["tenon_seconds"]), seconds_text(one["baseline_seconds"]), ratio_text(one["ratio"]),
            ratio_text(one["worst_quartile"]), "{} - {}".format(ratio_text(one["least"]), ratio_text(one["greatest"])), pairs, verdict(one))


def table(all_cells, markdown=False, head=HEAD):
    if markdown:
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in all_cells])
    widths = [max(len(row[i]) for row in [head, *all_cells]) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *all_cells])


def memory_cells(rows):
    for row in rows:
        if row.get("kind") == "memory":
            goal = "" if row["goal_mib"] is None else "{} MiB {}".format(row["goal_mib"], "met" if row["private"] <= row["goal_mib"] * MIB else "missed")
            yield row["title"], "{:.1f} MiB".format(row["private"] / MIB), "{:.1f} MiB".format(row["rss"] / MIB), goal


MEMORY_HEAD = ("what", "private, peak", "resident, peak", "goal for the private")


def read(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines if line.strip()]


LOSS = 0.85


def slower(old_rows, new_rows):
    """Comparisons whose ratio fell by more than 15 %: [(key, old ratio, new ratio)]. Seconds are never compared."""
    old = {key(one): one["ratio"] for one in summaries(old_rows)}
    return [(key(one), old[key(one)], one["ratio"]) for one in summaries(new_rows) if key(one) in old and one["ratio"] < LOSS * old[key(one)]]
