"""Recording fakes of TensorRT's classes: the real bindings say what may be called, an emulation
says what happens.

pybind11 writes each method's signatures into its docstring. A call through a fake is held against
them: the name, the number, the keywords and the types of the arguments, and the type of what the
emulation answers. So the emulation cannot drift from the bindings either."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

LINE = re.compile(r"^(?:\d+\. )?(\w+)\((.*)\)(?: -> (.+))?$")
ALIASES = {
    "IParserError": "ParserError"
}  # a signature that was written before its class was known to pybind11
PREFIX = re.compile(
    r"\b(?:tensorrt_bindings\.tensorrt|typing|typing_extensions|collections\.abc|"
    r"nvinfer1|nvonnxparser)"
    r"(?:\.|::)(?:v_\d+_\d+::)?"
)


@dataclass(frozen=True)
class Parameter:
    name: str
    kind: str
    optional: bool


@dataclass(frozen=True)
class Signature:
    parameters: tuple[Parameter, ...]
    returns: str

    def bound(self, arguments: tuple, keywords: dict) -> dict[str, tuple[Any, str]] | None:
        """Values and their wanted types by parameter; None when the call does not fit."""
        names = [parameter.name for parameter in self.parameters]
        values = dict(zip(names, arguments))
        if len(arguments) > len(names) or set(keywords) - set(names) or set(keywords) & set(values):
            return None
        values.update(keywords)
        if any(not p.optional and p.name not in values for p in self.parameters):
            return None
        return {p.name: (values[p.name], p.kind) for p in self.parameters if p.name in values}


def signatures(function: Any) -> list[Signature]:
    """The overloads of a pybind11 function, without `self`."""
    lines = [
        line.strip()
        for line in (inspect.getdoc(getattr(function, "__func__", function)) or "").splitlines()
    ]
    matches = [match for match in map(LINE.match, lines) if match and "*args" not in match[2]]
    return [
        Signature(tuple(map(_parameter, _split(match[2])[1:])), _plain(match[3] or "None"))
        for match in matches
    ]


def _parameter(text: str) -> Parameter:
    name, _, rest = text.partition(":")
    kind, default, _ = rest.partition(" = ")
    return Parameter(name.strip(), _plain(kind), bool(default))


def _split(text: str) -> list[str]:
    """At the commas that are in no bracket."""
    parts = [""]
    depth = 0
    for letter in text:
        depth += (letter in "([{<") - (letter in ")]}>")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _plain(kind: str) -> str:
    return PREFIX.sub("", kind.strip())


class Fakes:
    """Fakes of one version. `calls` are (class, member) in order; `emulation` maps class names to
    classes."""

    def __init__(self, real: ModuleType, emulation: dict[str, type]):
        self.real = real
        self.emulation = emulation
        self.calls: list[tuple[str, str]] = []

    def module(self) -> ModuleType:
        """What stands for `tensorrt`: enums, Dims and the interfaces that one derives from are the
        real ones."""
        fakes = self
        real = self.real

        class Module(ModuleType):
            def __getattr__(self, name: str) -> Any:
                if name in fakes.emulation and hasattr(real, name):
                    return lambda *arguments, **keywords: fakes.make(name, arguments, keywords)
                value = getattr(real, name, None)
                if value is None:
                    raise AttributeError(f"{name} is not in TensorRT {real.__version__}")
                return value

        return Module("tensorrt")

    def make(self, name: str, arguments: tuple, keywords: dict) -> Fake:
        fits = signatures(getattr(self.real, name).__init__)
        self.match(f"{name}()", fits, arguments, keywords)
        self.calls.append((name, "__init__"))
        return self.wrapped(self.emulation[name](*map(inner, arguments), **_inner(keywords)))

    def match(
        self, what: str, overloads: list[Signature], arguments: tuple, keywords: dict
    ) -> Signature:
        """The overload that takes the call; TypeError as pybind11 raises it."""
        for overload in overloads:
            bound = overload.bound(arguments, keywords)
            if bound is not None and all(self.fits(value, kind) for value, kind in bound.values()):
                return overload
        raise TypeError(
            f"{what} of TensorRT {self.real.__version__} does not take {arguments} {keywords}; "
            "it takes "
            f"{overloads}"
        )

    def fits(self, value: Any, kind: str) -> bool:
        """Whether pybind11 takes `value` for a parameter, or returns it for a result, of this
        type."""
        head = kind.partition("[")[0]
        if head in ("object", "CapsuleType"):
            return True
        if head in ("SupportsInt", "int"):
            return hasattr(value, "__int__") and not isinstance(value, (str, bool))
        if head in ("SupportsFloat", "float"):
            return hasattr(value, "__float__")
        if head == "Buffer":
            return isinstance(value, (bytes, bytearray, memoryview))
        if head == "IHostMemory":  # it has the buffer protocol
            return value is None or isinstance(value, bytes)
        if head == "Dims":
            return isinstance(value, (self.real.Dims, tuple, list)) and all(
                isinstance(size, int) for size in value
            )
        if head in ("Sequence", "list"):
            element = kind.partition("[")[2].removesuffix("]")
            return isinstance(value, Iterable) and all(self.fits(item, element) for item in value)
        plain = {"str": str, "bool": bool, "tuple": tuple, "None": type(None)}.get(head)
        if plain:
            return isinstance(value, plain)
        expected = self.real
        for part in ALIASES.get(head, head).split("."):
            expected = getattr(expected, part, None)
        if expected is None:
            raise LookupError(f"the type {kind} is not understood")
        return (
            issubclass(value._real, expected)
            if isinstance(value, Fake)
            else isinstance(value, expected)
        )

    def wrapped(self, value: Any) -> Any:
        name = type(value).__name__
        return (
            Fake(self, getattr(self.real, name), value)
            if self.emulation.get(name) is type(value)
            else value
        )


class Fake:
    """One object of a real class, emulated."""

    def __init__(self, fakes: Fakes, real: type, emulated: Any):
        for name, value in (("_fakes", fakes), ("_real", real), ("_inner", emulated)):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        member = self._member(name)
        if isinstance(member, property):
            value = self._fakes.wrapped(getattr(self._inner, name))
            assert value is None or self._fakes.fits(value, _type_of(member)), (name, value)
            return value
        overloads = signatures(member)

        def call(*arguments: Any, **keywords: Any) -> Any:
            what = f"{self._real.__name__}.{name}"
            overload = self._fakes.match(what, overloads, arguments, keywords)
            answer = getattr(self._inner, name)(*map(inner, arguments), **_inner(keywords))
            answer = self._fakes.wrapped(answer)
            assert answer is None or self._fakes.fits(answer, overload.returns), (
                what,
                answer,
                overload.returns,
            )
            return answer

        return call

    def __setattr__(self, name: str, value: Any) -> None:
        member = self._member(name)
        if not isinstance(member, property) or member.fset is None:
            raise AttributeError(
                f"{self._real.__name__}.{name} cannot be set in TensorRT "
                f"{self._fakes.real.__version__}"
            )
        if not self._fakes.fits(value, _type_of(member)):
            raise TypeError(f"{self._real.__name__}.{name} does not take {value!r}")
        setattr(self._inner, name, inner(value))

    def _member(self, name: str) -> Any:
        member = None if name.startswith("_") else inspect.getattr_static(self._real, name, None)
        if member is None:
            raise AttributeError(
                f"{self._real.__name__}.{name} is not in TensorRT {self._fakes.real.__version__}"
            )
        self._fakes.calls.append((self._real.__name__, name))
        return member


def _type_of(member: property) -> str:
    """A property's type, from its getter's docstring `(arg0: Class) -> type`."""
    return _plain((member.fget.__doc__ or "").strip().splitlines()[0].rpartition(" -> ")[2])


def inner(value: Any) -> Any:
    return value._inner if isinstance(value, Fake) else value


def _inner(keywords: dict) -> dict:
    return {name: inner(value) for name, value in keywords.items()}
