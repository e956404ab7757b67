"""Emitted functions, as kernels call them."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from .emitter import Emitter
from .values import DOUBLE, INT64, Value


def outlined(kind, returns=None, unrolls=True):
    """Decorate the emission of an LLVM function, which kernels call as an intrinsic.

    ``function(like, kind(...))`` takes the arguments as a `kind`, a NamedTuple whose fields are
    integers or, where they are annotated as float, of the type of `like`, which is any number of
    the element type. The decorated ``body(emit, arguments)`` gets a `kind` of Values and emits the
    code, with its return; `returns` is float for a float64, None for nothing. A module holds the
    function once, however many kernels of it call it, and none of them inlines it. Other emitted
    functions call it as ``function.emitted(emit, kind(...))``. Unless it `unrolls`, LLVM repeats no
    loop's body beyond what is emitted, and takes less time.
    """
    result = types.void if returns is None else types.float64
    count = len(kind._fields)

    def decorate(body):
        def function_of(module, element):
            name = f"fastnn_{body.__name__}_{element}"
            if name not in module.globals:
                kinds = [
                    Emitter(None, element).scalar if annotation is float else INT64
                    for annotation in kind.__annotations__.values()
                ]
                value = ir.VoidType() if returns is None else DOUBLE
                function = ir.Function(module, ir.FunctionType(value, kinds), name)
                function.linkage = "internal"
                function.attributes.add("noinline")
                if not unrolls:
                    function.attributes.add("optsize")
                emit = Emitter(ir.IRBuilder(function.append_basic_block("entry")), element)
                body(emit, kind(*(Value(emit, argument) for argument in function.args)))
            return module.globals[name]

        @intrinsic
        def call(context, like, arguments):
            if getattr(arguments, "instance_class", None) is not kind:
                raise TypingError(f"{body.__name__} takes a {kind.__name__}, not {arguments}")
            wanted = [
                like if annotation is float else types.intp
                for annotation in kind.__annotations__.values()
            ]

            def codegen(context, builder, signature, values):
                parts = cgutils.unpack_tuple(builder, values[1], count)
                parts = [
                    context.cast(builder, part, given, needed)
                    for part, given, needed in zip(parts, signature.args[1], wanted, strict=True)
                ]
                done = builder.call(function_of(builder.module, like), parts)
                return context.get_dummy_value() if returns is None else done

            return result(like, arguments), codegen

        def emitted(emit, arguments):
            """Call it from an emitted function, with a `kind` of Values and Python's integers."""
            parts = [
                (part if isinstance(part, Value) else emit.integer(part)).ir for part in arguments
            ]
            return Value(
                emit, emit.builder.call(function_of(emit.builder.module, emit.kind), parts)
            )

        call.__doc__ = body.__doc__
        call.emitted = emitted
        return call

    return decorate
