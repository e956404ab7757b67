"""What JSON may hold where a number, a flag or a name is expected: exact types, exact keys.

A check is a function of a value and its name, which raises a ValueError that says what it got and
what is needed.
"""

import dataclasses
import math
import reprlib
import sys
import typing


def refuse(name, value, needed):
    """Say what is wrong with a value, however large it is."""
    raise ValueError(f"{name} is {reprlib.repr(value)}, but needed is {needed}")


def integer(at_least=0, below=None):
    """Return a check for an integer; True and False are none."""
    needed = f"an integer of at least {at_least}" + (f", below {below}" if below else "")

    def check(value, name):
        if type(value) is not int or value < at_least or (below is not None and value >= below):
            refuse(name, value, needed)

    return check


def number(value, name):
    """Check a finite number."""
    # An integer may be too large for a float.
    if type(value) not in (int, float) or not -sys.float_info.max <= value <= sys.float_info.max:
        refuse(name, value, "a finite number")


def limit(value, name):
    """Check a number, which may be infinite: nothing has been compared with it yet."""
    if value not in (math.inf, -math.inf):
        number(value, name)


def text(value, name):
    """Check a text; what it may say is checked by whoever gets it."""
    if not isinstance(value, str):
        refuse(name, value, "a text")


def text_or_texts(value, name):
    """Check a text or a list of texts."""
    for i, each in enumerate(value if isinstance(value, list) else [value]):
        text(each, f"{name}[{i}]" if isinstance(value, list) else name)


def texts(value, name):
    """Check a list of texts."""
    if not isinstance(value, list):
        refuse(name, value, "a list of texts")
    text_or_texts(value, name)


def one_of(*names):
    """Return a check for one of some names."""

    def check(value, name):
        if value not in names:
            refuse(name, value, " or ".join(names))

    return check


def flag(value, name):
    """Check True or False."""
    if not isinstance(value, bool):
        refuse(name, value, "true or false")


def either(check, *others):
    """Return a check for one of some values, or what `check` lets pass."""

    def checked(value, name):
        if not any(type(value) is type(other) and value == other for other in others):
            check(value, name)

    return checked


def sizes(value, name):
    """Check the sizes of layers."""
    if not isinstance(value, list) or len(value) < 2:
        refuse(name, value, "a list of at least two sizes")
    for i, size in enumerate(value):
        integer(at_least=1)(size, f"{name}[{i}]")


def weights_of_classes(value, name):
    """Check a dict from classes, which JSON writes as texts, to weights."""
    if not isinstance(value, dict):
        refuse(name, value, "a dict")
    for label, weight in value.items():
        if not label.removeprefix("-").isdecimal():
            refuse(f"a class of {name}", label, "an integer")
        number(weight, f"{name}[{reprlib.repr(label)}]")


def described(known, optional=()):
    """Return a check for an optimiser or a schedule: the name of its class, and its numbers.

    Numbers that are optional have their defaults where a file does not say them.
    """
    kinds = {type(one).__name__: type(one) for one in known.values()}

    def check(value, name):
        if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
            refuse(name, value, "a list of a name and numbers")
        if value[0] not in kinds:
            refuse(name, value[0], f"one of {', '.join(kinds)}")
        fields(value[1], checks_of(kinds[value[0]]), f"{name}.{value[0]}.", optional)

    return check


def fields(value, checks, prefix="", optional=()):
    """Check a dict that has just these keys, perhaps without the optional ones."""
    if not isinstance(value, dict):
        refuse(prefix.removesuffix("."), value, "a dict")
    for key in [*checks, *value]:
        if key in optional and key not in value:
            continue
        if key not in value:
            raise ValueError(f"{prefix}{key} is missing")
        if key not in checks:
            raise ValueError(f"{prefix}{reprlib.repr(key)} does not belong into it")
        checks[key](value[key], f"{prefix}{key}")


def checks_of(kind, float_check=number, without=()):
    """Return the checks of a dataclass by the types of its fields; no integer is negative."""
    by_type = {bool: flag, int: integer(), float: float_check}
    checks = {}
    for field in dataclasses.fields(kind):
        # `bool | None` is None before it is known, and in no file.
        types = {*typing.get_args(field.type)} - {type(None)} or {field.type}
        if field.name not in without:
            checks[field.name] = by_type[types.pop()]
    return checks
