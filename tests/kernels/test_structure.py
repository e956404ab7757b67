"""What holds for every kernel: one decorator, few imports, NaN visible."""

import ast
import importlib
import inspect
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

import fastnn.kernels
from fastnn import kernels, reference
from fastnn.kernels import _jit

FOLDER = Path(fastnn.kernels.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(FOLDER).with_suffix("").parts) for path in FOLDER.rglob("*.py")
)
#: Whatever of numba compiles a Python function. (An intrinsic emits its own instructions.)
COMPILERS = {
    *("jit", "njit", "generated_jit", "vectorize", "guvectorize", "cfunc", "stencil", "jit_module"),
    *("register_jitable", "overload", "overload_method", "overload_attribute", "jitclass"),
}
DEPENDENCIES = {"numba", "llvmlite", "numpy"} | sys.stdlib_module_names


def tree_of(module):
    return ast.parse((FOLDER / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))


def compiled_functions():
    for name in MODULES:
        module = importlib.import_module(f"fastnn.kernels.{name}".removesuffix(".__init__"))
        for value in vars(module).values():
            if isinstance(value, Dispatcher):
                yield value


@pytest.mark.parametrize("module", [name for name in MODULES if name != "_jit"])
def test_only_the_one_decorator_compiles(module):
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert not COMPILERS & {alias.name for alias in node.names}
        if isinstance(node, ast.Attribute):
            assert node.attr not in COMPILERS


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_few_and_one_way(module):
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name.split(".")[0] in DEPENDENCIES
        if isinstance(node, ast.ImportFrom):
            if node.level == 0:
                assert node.module.split(".")[0] in DEPENDENCIES
            else:
                folders = module.split(".")[:-1]
                assert node.level <= 1 + len(folders), "kernels import nothing of the thin side"
                above = folders[: len(folders) + 1 - node.level]
                names = [node.module] if node.module else [alias.name for alias in node.names]
                for name in names:
                    path = ".".join([*above, name])
                    assert path in MODULES or f"{path}.__init__" in MODULES


def test_the_rooms_are_built_upon_each_other():
    # Instructions, then kernels made of them, then the loop that plans and runs kernels.
    floors = {"llvm": 0, "loop": 2}
    for module in MODULES:
        folder = module.partition(".")[0] if "." in module else ""
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.ImportFrom) and node.level:
                level = node.level - (1 if folder else 0)
                name = (node.module or node.names[0].name).partition(".")[0]
                target = name if level == 1 and name in floors else folder if level == 0 else ""
                if name == "_jit" or (level == 1 and folder == "" and name not in floors):
                    continue
                assert floors.get(target, 1) <= floors.get(folder, 1), (module, name)


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("llvm")])
def test_instructions_are_emitted_in_one_room(module):
    for node in ast.walk(tree_of(module)):
        assert not (isinstance(node, ast.Attribute) and node.attr == "builder")


def test_every_compiled_function_has_the_settings_of_the_decorator():
    functions = list(compiled_functions())
    assert len(functions) > 10
    for function in functions:
        options = function.targetoptions
        assert options["nogil"] is True, function
        assert options["error_model"] == "numpy", function
        assert options["nopython"] is True, function
        assert set(options["fastmath"]) == _jit.FAST_MATH, function
        assert not options.get("parallel"), function
        if options.get("inline") != "always":  # a part is compiled with its kernel's
            assert options["_nrt"] is False, function


def test_fast_math_keeps_nan_and_inf():
    assert not _jit.FAST_MATH & {"nnan", "ninf", "fast", "arcp", "afn"}
    source = ast.unparse(tree_of("_jit"))
    assert "fastmath=True" not in source


def test_public_names_are_documented_and_have_a_twin():
    no_twin = {"empty_workspace", "flops_per_repetition", "fma_loop"}
    for name in kernels.__all__:
        function = getattr(kernels, name)
        assert inspect.getdoc(function), name
        if name not in no_twin:
            twin = getattr(reference, name)
            assert list(inspect.signature(twin).parameters) == list(
                inspect.signature(function.py_func).parameters
            )
