"""Emitted functions, as kernels call them."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from .emitter import Emitter
from .values import DOUBLE, Value


def outlined(kind, returns=None):
    """Decorate the emission of an LLVM function, which kernels call as an intrinsic.

    ``function(like, kind(...))`` takes the arguments as a `kind`, a NamedTuple whose fields are
    integers or, where they are annotated as float, of the type of `like`, which is any number of
    the element type. The decorated ``body(emit, arguments)`` gets a `kind` of Values and emits the
    code, with its return; `returns` is float for a float64, None for nothing. A module holds the
    function once, however many kernels of it call it, and none of them inlines it.
    """
    result = types.void if returns is None else types.float64
    count = len(kind._fields)

    def decorate(body):
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
                module, name = builder.module, f"fastnn_{body.__name__}_{like}"
                if name not in module.globals:
                    value = ir.VoidType() if returns is None else DOUBLE
                    function = ir.Function(
                        module, ir.FunctionType(value, [part.type for part in parts]), name
                    )
                    function.linkage = "internal"
                    function.attributes.add("noinline")
                    inside = ir.IRBuilder(function.append_basic_block("entry"))
                    emit = Emitter(inside, like)
                    body(emit, kind(*(Value(emit, argument) for argument in function.args)))
                done = builder.call(module.globals[name], parts)
                return context.get_dummy_value() if returns is None else done

            return result(like, arguments), codegen

        call.__doc__ = body.__doc__
        return call

    return decorate
