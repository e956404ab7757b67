"""Publish the benchmarks' results as a folder of pages that needs nothing but a browser.

    python asv_bench/dashboard.py              # publish what is in asv_bench/results
    python asv_bench/dashboard.py --run NEW    # measure commits without results first
    python asv_bench/dashboard.py --run HEAD^! --quick

asv's own pages load their scripts from the web, and their data from a web server. This takes the
scripts from packages, keeps the data as scripts besides, and writes a front page, so that the
folder can be copied anywhere, and opened as it is.
"""

import argparse
import html
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from vendored_scripts import ScriptError, vendor

HERE = Path(__file__).parent
#: What asv.conf.json names, from here.
RESULTS, PAGES = HERE / "results", HERE / "html"
#: Where asv keeps the name of the machine.
MACHINE = Path.home() / ".asv-machine.json"
#: Packages that hold the pages' scripts, kept for the next time.
ARCHIVES = HERE / "scripts"
#: Explanations of steps in the plots, beside the results that show them: a list of objects with
#: `commit`, `text` and `plot`, a benchmark's name with what follows it in the dashboard's links.
STEPS = "steps.json"
#: What asv takes for commits besides what git does.
NAMES = ("NEW", "EXISTING", "ALL", "TAGS")


def asv(*arguments):
    """Run asv's command here; raise CalledProcessError where it fails."""
    subprocess.run([sys.executable, "-m", "asv", *arguments], cwd=HERE, check=True)


def check_commits(commits):
    """Refuse what asv, which would end with a traceback, finds no commits by."""
    if commits in NAMES or commits.startswith("HASHFILE:"):
        return
    try:
        # As asv asks for them.
        words = ["git", "rev-list", "--first-parent", *shlex.split(commits), "--"]
        done = subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=True)
        wrong = "" if done.stdout else "no commit is in that range"
    except ValueError as error:
        wrong = f"git has no such commits ({error})"
    except subprocess.CalledProcessError as error:
        wrong = f"git has no such commits ({error.stderr.splitlines()[0]})"
    if wrong:
        raise ScriptError(
            f"--run is {commits!r}, but {wrong}: give NEW, EXISTING, or a range as git has it, "
            "such as HEAD^!"
        )


# -------------------------------------------------------------------------------------- without web


def keep_data_as_scripts(pages):
    """Write each ``.json`` as a script, too: a page that was opened as a file may load no other."""
    for path in sorted(pages.rglob("*.json")):
        script = path.with_name(f"{path.name}.js")
        script.write_text(f"asvData = {path.read_text('utf-8').strip()};\n", "utf-8")


def stand_alone(pages):
    """Have the pages need neither the web nor a server; return the packages that they hold."""
    index = pages / "index.html"
    packages = vendor(index, ARCHIVES)
    keep_data_as_scripts(pages)
    (pages / "from_files.js").write_bytes((HERE / "front" / "from_files.js").read_bytes())
    text = index.read_text("utf-8")
    # After jQuery, before what asks for data.
    loader = '<script src="from_files.js"></script>\n    '
    index.write_text(replaced(text, '<script language="javascript"', loader, before=True), "utf-8")
    return packages


def replaced(text, mark, addition, before=False):
    """Return the text with an addition after (or before) the first mark, which must be there."""
    head, found, tail = text.partition(mark)
    if not found:
        raise ScriptError(f"asv's page has no {mark!r}: it is of a version that is not known here")
    return f"{head}{addition}{found}{tail}" if before else f"{head}{found}{addition}{tail}"


# --------------------------------------------------------------------------------------- front page


def drop_unmeasured(pages):
    """Leave out of the index what no commit has results of: it would have an empty place."""
    path = pages / "index.json"
    index = json.loads(path.read_text("utf-8"))
    measured = {each.name.removesuffix(".json") for each in pages.glob("graphs/summary/*.json")}
    index["benchmarks"] = {
        name: benchmark for name, benchmark in index["benchmarks"].items() if name in measured
    }
    path.write_text(json.dumps(index), "utf-8")


def measured_items(text, names):
    """Return the page without those items of lists that lead to a benchmark without results."""

    def kept(item):
        links = [link.partition("?")[0] for link in re.findall(r'href="#([^"]*)"', item[0])]
        return item[0] if all(link.startswith("/") or link in names for link in links) else ""

    return re.sub(r"<li>.*?</li>", kept, text, flags=re.DOTALL)


def front_page(pages, steps):
    """Put what the plots are, where to look first and which machine it was above the grid."""
    index = json.loads((pages / "index.json").read_text("utf-8"))
    template = (HERE / "front" / "front_page.html").read_text("utf-8")
    dates = sorted(index["revision_to_date"].items(), key=lambda item: int(item[0]))
    measured = [(index["revision_to_hash"][revision], date) for revision, date in dates]
    filled = template.format(
        machines="".join(map(machine_row, index["machines"].values())),
        versions=html.escape(versions(index["params"])),
        commits=len(measured),
        first=measured[0][0][:8] if measured else "none",
        last=measured[-1][0][:8] if measured else "none",
        benchmarks=len(index["benchmarks"]),
        steps="".join(map(step_item, steps)) or "<li>None has been explained yet.</li>",
    )
    page = pages / "index.html"
    head, mark, tail = page.read_text("utf-8").partition('id="summarygrid-display"')
    if not mark:
        raise ScriptError("asv's page has no grid: it is of a version that is not known here")
    style, _, rest = tail.partition(">")
    filled = measured_items(filled, index["benchmarks"])
    page.write_text(f"{head}{mark}{style}>{filled}{rest}", "utf-8")


def machine_row(machine):
    """Return a row of the table of machines."""
    memory = f"{int(machine['ram']) / 2**30:.0f} GiB" if machine.get("ram", "").isdigit() else ""
    cells = (machine["machine"], machine["cpu"], machine["num_cpu"], memory, machine["os"])
    return "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>"


def versions(params):
    """Return what ran the benchmarks, in words: Python, and packages whose version is named."""
    known = {"machine", "os", "cpu", "arch", "num_cpu", "ram", "branch"}
    named = {key: [str(value) for value in values if value] for key, values in params.items()}
    return ", ".join(
        f"{key} {' and '.join(values)}"
        for key, values in named.items()
        if values and key not in known
    )


def step_item(step):
    """Return an item of the list of steps."""
    commit, text = html.escape(step["commit"]), html.escape(step["text"])
    return f'<li><a href="#{html.escape(step["plot"])}"><code>{commit}</code></a> {text}</li>'


def steps_of(results):
    """Return what is told of steps beside the results."""
    path = results / STEPS
    return json.loads(path.read_text("utf-8")) if path.exists() else []


# --------------------------------------------------------------------------------------- the script


def main(arguments=None):
    """Measure where asked, publish; return the exit code."""
    parser = argparse.ArgumentParser(prog="dashboard.py", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--run",
        metavar="RANGE",
        help="measure these commits first (NEW, EXISTING, HEAD^!, or a range as git has it)",
    )
    parser.add_argument("--quick", action="store_true", help="measure each benchmark once")
    options = parser.parse_args(arguments)
    try:
        if options.run is not None:
            check_commits(options.run)
            if not MACHINE.exists():
                asv("machine", "--yes")
            quick = ["--quick"] if options.quick else ["--skip-existing-successful"]
            asv("run", *quick, options.run)
        if not (RESULTS / "benchmarks.json").exists():
            raise ScriptError(
                f"there are no results in {RESULTS}: measure some with --run, or take back what is "
                f"kept with `git checkout -- {RESULTS}`"
            )
        asv("publish", "--no-pull")
        drop_unmeasured(PAGES)
        packages = stand_alone(PAGES)
        front_page(PAGES, steps_of(RESULTS))
    except subprocess.CalledProcessError as error:
        return error.returncode
    except ScriptError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"Scripts: {', '.join(packages)}\nOpen {PAGES / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
