"""The page on writing a kernel, carried out from top to bottom in a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "kernels" / "write-your-own.md"
BLOCK = re.compile(r"^```(\w+|{code-block} py\n:caption: [^\n]*)\n(.*?)^```$", re.M | re.S)
PLACE = r"(above|below|at the end of the table|at the end)(?: `(.*)`)?"
CAPTION = re.compile(rf"{{code-block}} py\n:caption: (\S+), {PLACE}")
#: What a block begins to define: a function, a class, an entry of a table, a row of a docstring's.
DEFINES = re.compile(r"^(?:(?:def|class) \w+\(|    \"\w+\":|    \w+ {2})", re.M)


def copy_checkout(folder):
    """Copy what the page works on; the kernels lie where an installed package has them."""
    ignored = shutil.ignore_patterns("__pycache__", "kernels", "env", "results", "html", "scripts")
    for name in ("fastnn", "asv_bench", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copytree(ROOT / "tests/kernels", folder / "tests/kernels", ignore=ignored)
    shutil.copytree(ROOT / "kernels", folder / "fastnn/kernels", ignore=ignored)
    (folder / "kernels").symlink_to(folder / "fastnn/kernels")
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, folder)


def insert(path, code, where, line_beginning):
    """Put some lines above or below the one line that begins so, or at the end of its table.

    Without a line, they go to the end of the file.
    """
    text = path.read_text(encoding="utf-8")
    for defined in DEFINES.findall(code):
        there = re.search(f"^{re.escape(defined)}", text, re.M)
        assert not there, f"{path} has `{defined.strip()}` already: let the page add something else"
    lines = text.splitlines(keepends=True)
    place = len(lines)
    if line_beginning:
        found = [i for i, line in enumerate(lines) if line.startswith(line_beginning)]
        assert len(found) == 1, f"{path}: {len(found)} lines begin with {line_beginning!r}"
        place = found[0] + (where == "below")
        if where == "at the end of the table":
            # A dict ends with its brace, a docstring's table with the rule that is below its heads.
            last = "}\n" if lines[place].endswith("{\n") else lines[place + 1]
            place = lines.index(last, place + 2)
    lines.insert(place, code)
    path.write_text("".join(lines), encoding="utf-8")


def test_a_table_may_be_of_any_length(tmp_path):
    path = tmp_path / "file.py"
    rule = "    ====  =\n"
    path.write_text(f'TABLE = {{\n    "a": 1,\n}}\n\n    name  f\n{rule}    a     1\n{rule}\n}}\n')
    for name in "bc":
        insert(path, f'    "{name}": 1,\n', "at the end of the table", "TABLE = {")
        insert(path, f"    {name}     1\n", "at the end of the table", "    name  f")
    assert re.findall(r"^    \W?(\w)\b", path.read_text(), re.M) == [*"abc", *"abc"]
    for code in ('    "b": 2,\n', "    c     2\n"):
        with pytest.raises(AssertionError, match=r"file\.py has `.*[bc].*` already: let the page"):
            insert(path, code, "at the end", None)


def test_the_page_works_as_it_is_written(tmp_path):
    copy_checkout(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    environment.pop("NUMBA_CACHE_DIR")

    def run(*command):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    program, commands = "", []
    blocks = list(BLOCK.finditer(PAGE.read_text(encoding="utf-8")))
    for kind, code in (block.groups() for block in blocks):
        if place := CAPTION.fullmatch(kind):
            name, where, line = place.groups()
            insert(tmp_path / name, code, where, line)
        elif kind == "python":
            program += code
        else:
            assert kind == "sh"
            commands += code.splitlines()
    assert len(commands) == 2
    for command in commands:
        python, *words = command.split()
        assert python == "python"
        assert " passed" in run(sys.executable, *words)
    environment["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")
    assert "accuracy" in run(sys.executable, "-W", "error", "-c", program)
