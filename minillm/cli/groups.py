"""Command lines from dataclasses, and options that take several values at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from minillm.bench.settings import Help


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters annotated with a dataclass stand for that dataclass's fields:
    each becomes an option, with the default and the `Help` (see `minillm.bench.settings`) that the
    field declares. A field that several dataclasses have is one option. A parameter that has a
    `Help` itself is declared in the same way."""
    hints = get_type_hints(command, include_extras=True)
    options: dict[str, inspect.Parameter] = {}
    groups: dict[str, Any] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if is_dataclass(hints[name]):
            groups[name] = hints[name]
            options |= _options(hints[name])
        else:
            options[name] = _option(name, hints[name], parameter.default)

    @wraps(command)
    def call(**given: Any) -> None:
        values = {n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}
        own = {name: value for name, value in values.items() if name in hints}
        for name, group in groups.items():
            own[name] = group(**{f.name: values[f.name] for f in fields(group)})
        command(**own)

    del call.__wrapped__  # the signature is this one's own, not the command's
    call.__signature__ = inspect.Signature(list(options.values()))  # type: ignore[attr-defined]
    call.__annotations__ = {name: option.annotation for name, option in options.items()}
    return call


def _options(group: Any) -> dict[str, inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    own_first = sorted(fields(group), key=lambda each: each.name not in group.__annotations__)
    return {each.name: _option(each.name, hints[each.name], each.default) for each in own_first}


def _option(name: str, hint: Any, default: Any) -> inspect.Parameter:
    """`hint` as typer reads it: a `Help` becomes an option, and a tuple one that is repeatable."""
    kind, *about = get_args(hint) or (hint,)
    if about and isinstance(about[0], Help):
        if get_origin(kind) is tuple:
            kind, default = list[get_args(kind)[0]], list(default)
        hint = Annotated[kind, typer.Option(help=about[0].text, min=about[0].min)]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=default, annotation=hint)


class Several(TyperCommand):
    """A command whose repeatable options also take several values at once, as `vllm bench`'s do:
    `--goodput ttft:200 tpot:50` is `--goodput ttft:200 --goodput tpot:50`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        names = {n for p in self.params if getattr(p, "multiple", False) for n in p.opts}
        return super().parse_args(ctx, spread(args, names))


def spread(args: Sequence[str], repeatable: set[str]) -> list[str]:
    """Each further value after an option of `repeatable` gets that option's name before it."""
    result: list[str] = []
    name, taken = None, False
    for arg in args:
        if arg.startswith("--"):
            option, value, _ = arg.partition("=")
            name, taken = (option, bool(value)) if option in repeatable else (None, False)
        elif name is not None and taken:
            result.append(name)
        elif name is not None:
            taken = True
        result.append(arg)
    return result
