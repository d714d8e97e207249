"""Bar charts as SVG, written by hand: one bar for each ratio, on a logarithmic axis, the goal as a mark. Colours come from CSS and follow the reader's
light or dark setting; nothing is loaded from elsewhere."""
import html
import math
import os

from report import ratio_text, summaries

STYLE = """<style>
  .back { fill: #ffffff } .text { fill: #1f2328; font: 12px system-ui, sans-serif } .faint { fill: #59636e; font: 11px system-ui, sans-serif }
  .bar { fill: #2f6fb2 } .range { stroke: #1f2328; stroke-width: 1.2 } .grid { stroke: #d1d9e0 } .one { stroke: #59636e } .goal { stroke: #bc4c00; stroke-width: 2.5 }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117 } .text { fill: #e6edf3 } .faint { fill: #9198a1 } .bar { fill: #4a8fd8 } .range { stroke: #e6edf3 } .grid { stroke: #30363d }
    .one { stroke: #9198a1 } .goal { stroke: #f0883e }
  }
</style>"""
LEFT, RIGHT, ROW, TOP, BOTTOM, WIDTH = 390, 70, 30, 46, 44, 900


def chart(title, ones):
    """One chart of comparisons; each is the summary of report.py."""
    low = min([1.0] + [one["least"] for one in ones] + [one["goal"] or 1 for one in ones])
    high = max([2.0] + [one["greatest"] for one in ones] + [one["goal"] or 1 for one in ones])
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    height = TOP + ROW * len(ones) + BOTTOM

    def x(ratio):
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(ratio) - first) / (last - first)

    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">'.format(
        WIDTH, height, html.escape(title, quote=True)), STYLE, '<rect class="back" width="{}" height="{}"/>'.format(WIDTH, height)]

    def line(kind, x1, y1, x2, y2):
        parts.append('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'.format(kind, x1, y1, x2, y2))

    def text(kind, at, y, words, anchor="start"):
        parts.append('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>'.format(kind, at, y, anchor, html.escape(words)))

    text("text", 12, 24, title)
    bottom = TOP + ROW * len(ones)
    for power in range(first, last + 1):
        line("one" if power == 0 else "grid", x(10.0 ** power), TOP - 6, x(10.0 ** power), bottom)
        text("faint", x(10.0 ** power), bottom + 15, "{:g}x".format(10.0 ** power), "middle")
    for i, one in enumerate(ones):
        y = TOP + ROW * i
        text("text", LEFT - 10, y + 12, one["title"] if len(one["title"]) <= 56 else one["title"][:54] + "...", "end")
        text("faint", LEFT - 10, y + 24, "against " + one["against"], "end")
        begin, end = sorted((x(1), x(one["ratio"])))
        parts.append('<rect class="bar" x="{:.1f}" y="{}" width="{:.1f}" height="14" rx="2"/>'.format(begin, y + 5, max(end - begin, 1)))
        line("range", x(one["least"]), y + 12, x(one["greatest"]), y + 12)
        if one["goal"]:
            line("goal", x(one["goal"]), y + 2, x(one["goal"]), y + 22)
        text("text", max(x(one["greatest"]), x(one["goal"] or one["ratio"]), x(1)) + 8, y + 17, ratio_text(one["ratio"]))
    text("faint", 12, height - 8, "how many times as fast as the other: median of pairs in one run; thin line: least to greatest; orange: the goal")
    return "\n".join(parts + ["</svg>"]) + "\n"


CHARTS = (("reading", "Reading metadata", ("inspect", "many")), ("moving", "Loading, saving, converting", ("load", "save", "convert")),
          ("checking", "Verifying and comparing", ("verify", "diff")))


def draw(rows, folder):
    """Writes FOLDER/speed-*.svg; a chart without a comparison is left out. Returns the names."""
    os.makedirs(folder, exist_ok=True)
    names = []
    for name, title, starts in CHARTS:
        ones = [one for one in summaries(rows) if one["case"].startswith(starts)]
        if ones:
            names.append("speed-{}.svg".format(name))
            with open(os.path.join(folder, names[-1]), "w") as out:
                out.write(chart(title, ones))
    return names
