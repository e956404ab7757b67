"""The numbers of optimisers and schedules: checked, and of types that JSON can hold."""

import dataclasses

from .arguments import check_flag, check_number, check_size

#: What a number must be besides finite and not negative, and whether it is.
_LIMITS = {
    "momentum": ("below 1", lambda x: x < 1),
    "beta_1": ("below 1", lambda x: x < 1),
    "beta_2": ("below 1", lambda x: x < 1),
    "decay_rate": ("below 1", lambda x: x < 1),
    "epsilon": ("above 0", lambda x: x > 0),
    "warmup": ("below 1", lambda x: x < 1),
    "start": ("at most 1", lambda x: x <= 1),
    "final": ("at most 1", lambda x: x <= 1),
    "divisor": ("above 1", lambda x: x > 1),
}


def check_fields(description):
    """Check the fields of a frozen dataclass by the types of their defaults; convert them."""
    for field in dataclasses.fields(description):
        name, value = field.name, getattr(description, field.name)
        remedy = f"pass for example {type(description).__name__}({name}={field.default})"
        if isinstance(field.default, bool):
            value = check_flag(value, name)
        elif isinstance(field.default, int):
            value = check_size(value, name)
        else:
            value = check_number(value, name, remedy)
            needed, holds = _LIMITS.get(name, ("", lambda x: True))
            if not holds(value):
                raise ValueError(f"{name} is {value}, but it must be {needed}: {remedy}")
        object.__setattr__(description, name, value)


def check_kind(value, name, known, example):
    """Return the description that a name stands for, or `value` if it is one itself."""
    if isinstance(value, str) and value in known:
        return known[value]
    # No kinds of the user's own: a checkpoint could not name them.
    if type(value) not in {type(one) for one in known.values()}:
        raise (ValueError if isinstance(value, str) else TypeError)(
            f"{name} is {value!r}, but known are {', '.join(known)}: pass one of these names, or "
            f"for example {example}"
        )
    return value
