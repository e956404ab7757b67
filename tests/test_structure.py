"""What the layout promises: imports run one way, between folders and between files."""

import ast
from pathlib import Path

import pytest

import fastnn

FOLDER = Path(fastnn.__file__).parent
#: Each floor imports from those below it only. What has no folder is named by its file.
FLOORS = [
    {"kernels", "jit"},
    {"checks"},
    {"jobs", "threads", "optimizers", "schedules"},
    {"reference", "hyperparameters", "parameters", "named_params"},
    {"engine"},
    {"files"},
    {"network"},
    {"checkpoints"},
    {"trainer", "two_layer_net"},
    {"cs231n", "sklearn"},
    {"__init__"},
    {"plotting", "benchmark", "data"},
    {"cli"},
    {"__main__"},
]
#: Files that are read in for another one, and belong to it.
PARTS = {"_figure": "plotting", "_arrays": "data"}


def room_of(module):
    name = module.partition(".")[0]
    return PARTS.get(name, name)


def floor_of(module):
    return next(i for i, rooms in enumerate(FLOORS) if room_of(module) in rooms)


def module_names():
    for path in sorted(FOLDER.rglob("*.py")):
        yield ".".join(path.relative_to(FOLDER).with_suffix("").parts)


def imports_of(module):
    """Return the modules of the package that a module imports, anywhere in it."""
    path = FOLDER / f"{module.replace('.', '/')}.py"
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = module.split(".")[: -node.level]
        elif node.module and node.module.split(".")[0] == "fastnn":
            base = []
        else:
            continue
        parts = [part for part in (node.module or "").split(".") if part not in ("", "fastnn")]
        for alias in node.names:
            for name in (".".join([*base, *parts, alias.name]), ".".join([*base, *parts])):
                if name in NAMES or f"{name}.__init__" in NAMES or name.startswith("kernels"):
                    found.add(name)
                    break
            else:
                found.add("__init__")
    return found - {module}


NAMES = set(module_names())


@pytest.mark.parametrize("module", sorted(NAMES))
def test_imports_run_down(module):
    for name in imports_of(module):
        if room_of(name) != room_of(module):
            assert floor_of(name) < floor_of(module), name


def test_files_import_each_other_in_no_circle():
    graph = {name: imports_of(name) for name in NAMES}
    done, path = set(), []

    def visit(name):
        name = name if name in graph else f"{name}.__init__"
        if name in done or name not in graph:
            return
        assert name not in path, [*path, name]
        path.append(name)
        for other in graph[name]:
            visit(other)
        done.add(path.pop())

    for name in sorted(graph):
        visit(name)
