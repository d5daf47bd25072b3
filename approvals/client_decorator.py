"""`@requires_approval`: fits what a guard asks for to the arguments of each call of a function.

Every fault of the fitting is told when the function is decorated, not when it is first called.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Mapping,
)
from typing import Any, ParamSpec, TypeVar

from approvals.client_guard import AsyncGuard, Guard

P = ParamSpec("P")
R = TypeVar("R")
Work = Callable[P, Coroutine[Any, Any, R]]

# A value, or a function of the decorated function's arguments: it names those that it needs.
Fitted = Any


class Fitting:
    """Values, and functions of arguments, for one decorated function."""

    def __init__(
        self,
        function: Callable[..., Any],
        guard: Callable[..., object],
        given: Mapping[str, Fitted],
    ) -> None:
        _check_kind(function)
        inspect.signature(guard).bind(**given)
        self._signature = inspect.signature(function)
        self._values = {name: each for name, each in given.items() if not callable(each)}
        self._makers = {
            name: (each, self._names(name, each)) for name, each in given.items() if callable(each)
        }

    def of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What is asked for at this call. Raises `TypeError` where the call does not fit."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        made = {
            name: functools.partial(maker, **{each: bound.arguments[each] for each in names})
            for name, (maker, names) in self._makers.items()
        }
        # The context is the guard's to ask for, at the opening and again at redeem.
        fitted = {name: make if name == "context" else make() for name, make in made.items()}
        return {**self._values, **fitted}

    def _names(self, what: str, maker: Callable[..., Any]) -> tuple[str, ...]:
        names = tuple(inspect.signature(maker).parameters)
        if unknown := [name for name in names if name not in self._signature.parameters]:
            raise TypeError(f"`{what}` asks for arguments that there are not: {unknown}")
        return names


def _check_kind(function: Callable[..., Any]) -> None:
    # A generator's body runs when it is iterated: outside of the guard, after its receipt.
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("a generator cannot be guarded: use `guard` inside it")


def _check_result(result: object) -> None:
    """A function may hand back work that has yet to run: a generator, or something to await."""
    if not isinstance(result, Generator | AsyncGenerator | Awaitable):
        return
    if isinstance(result, Generator | Coroutine):
        result.close()  # so that it never runs
    raise TypeError("what is handed back would run outside of the guard: use `guard` inside it")


def guarded(
    function: Callable[P, R],
    guard: Callable[..., Guard],
    given: Mapping[str, Fitted],
    records: Callable[[Any], int] | None,
) -> Callable[P, R]:
    """The function behind the gate. `records` counts those that a result holds."""
    if inspect.iscoroutinefunction(function):  # it would run when awaited: outside of the guard
        raise TypeError("an async function is guarded by AsyncPlacet")
    fitting = Fitting(function, guard, given)

    @functools.wraps(function)
    def behind_the_gate(*args: P.args, **kwargs: P.kwargs) -> R:
        with guard(**fitting.of(args, kwargs)) as access:
            result = function(*args, **kwargs)
            _check_result(result)
            access.records = access.records if records is None else records(result)
        return result

    return behind_the_gate


def guarded_async(
    function: Work[P, R],
    guard: Callable[..., AsyncGuard],
    given: Mapping[str, Fitted],
    records: Callable[[Any], int] | None,
) -> Work[P, R]:
    """The same for an async function."""
    if not inspect.iscoroutinefunction(function):
        raise TypeError("a plain function is guarded by Placet, not by AsyncPlacet")
    fitting = Fitting(function, guard, given)

    @functools.wraps(function)
    async def behind_the_gate(*args: P.args, **kwargs: P.kwargs) -> R:
        async with guard(**fitting.of(args, kwargs)) as access:
            result: R = await function(*args, **kwargs)
            _check_result(result)
            access.records = access.records if records is None else records(result)
        return result

    return behind_the_gate
