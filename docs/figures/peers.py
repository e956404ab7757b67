"""How many times as long as fastnn's the steps of others take, read from the page's tables."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

from drawing import BLUE, GREEN, GREY, ORANGE

MACHINES = ("Zen 5", "Zen 4", "An Intel server")
LIBRARIES = {"NumPy": (GREY, "o"), "PyTorch": (ORANGE, "s"), "JAX": (BLUE, "D")}


def cells(line):
    """Return the texts in a line of a table in Markdown."""
    return [text.strip() for text in line.strip().strip("|").split("|")]


def number(text):
    """Return the number in a cell, NaN where there is none."""
    return float("nan" if text == "-" else text.replace(",", ""))


def times_of(page, machine):
    """Return the times of a section's first table on one thread: by network, those by library."""
    section = page.partition(f"\n### {machine}\n")[2].partition("\n### ")[0]
    table = section[section.index("| Network") :].partition("\n\n")[0].splitlines()
    names, times = cells(table[0]), {}
    for line in table[2:]:
        row = dict(zip(names, cells(line)))
        if row.get("Threads", "1") == "1":
            network = row["Network"].partition(" ")[0]
            label = f"{network}, {row['Optimiser']}, {row['Batch']}"
            times[label] = {name: number(row[name]) for name in ("fastnn", *LIBRARIES)}
    return times


page = (Path(sys.argv[0]).resolve().parents[1] / "speed.md").read_text(encoding="utf-8")
tables = {machine: times_of(page, machine) for machine in MACHINES}
# Not every machine has measured all of them.
networks = max(tables.values(), key=len)
missing = dict.fromkeys(("fastnn", *LIBRARIES), float("nan"))
figure, panels = plt.subplots(
    1, len(MACHINES), sharex=True, sharey=True, figsize=(10, 6.2), layout="constrained"
)
for axes, (machine, times) in zip(panels, tables.items()):
    for name, (color, marker) in LIBRARIES.items():
        found = [times.get(network, missing) for network in networks]
        ratios = [each[name] / each["fastnn"] for each in found]
        axes.scatter(ratios, range(len(networks)), 26, color, marker=marker, label=name, zorder=3)
    axes.axvline(1, color=GREEN, lw=2, label="fastnn")
    axes.set(title=machine.removeprefix("An "), xscale="log", xlim=(0.9, 40))
    axes.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes.tick_params(which="minor", bottom=False)
    axes.grid(color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
panels[0].set_yticks(range(len(networks)), networks)
panels[0].invert_yaxis()
panels[1].set_xlabel("times as long as a step of fastnn's")
figure.legend(
    *panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=4, frameon=False
)
