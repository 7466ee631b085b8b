"""Whether an output has the type that the annotation of its task says."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError
from typing_extensions import is_protocol, is_typeddict

from reactor.definition.binding import MISSING, UNRESOLVED, adapter_for, problems_in, type_name

_ACCEPTED: dict[type, tuple[type, ...]] = {float: (float, int), complex: (complex, float, int)}
"""What type checkers accept for a type besides its instances."""


class OutputCheck:
    """The check of one task, which has to be cheap: it looks into the first output only, then only at its class."""

    __slots__ = ("_annotation", "_classes", "_looked_inside", "task")

    def __init__(self, of: str, annotation: Any) -> None:
        self.task = of
        """``task 'use' of workflow 'census'``."""
        self._annotation = annotation
        self._classes = _classes_of(annotation)
        self._looked_inside = get_origin(annotation) is None and self._classes is not None

    @classmethod
    def of(cls, of: str, annotation: Any) -> OutputCheck | None:
        """None where there is nothing to check. ``of`` begins the sentence: ``task 'use' of workflow 'census'``."""
        if annotation is MISSING or annotation is Any or annotation is object or annotation is UNRESOLVED:
            return None
        return cls(of, annotation)

    def mismatch(self, output: Any) -> tuple[str, str] | None:
        """What was returned and what the annotation says, ``("str", "int")``; None where all is well."""
        annotated = type_name(self._annotation)
        if self._classes is not None and not isinstance(output, self._classes):
            return type(output).__name__, annotated
        if self._looked_inside:
            return None
        self._looked_inside = True
        adapter = adapter_for(self._annotation)
        try:
            if adapter is not None:
                adapter.validate_python(output, strict=True)
        except ValidationError as error:
            return f"a {type(output).__name__}", f"{annotated}: {problems_in(error)}"
        except Exception:  # a validator that a user wrote may raise anything; it is not the output's fault
            return None
        return None


def _classes_of(annotation: Any) -> tuple[type, ...] | None:
    """The classes of which every value of the annotation is an instance; None where they are not known."""
    if annotation is None:
        return (NoneType,)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _classes_of(get_args(annotation)[0])
    if origin in (Union, UnionType):
        parts = [_classes_of(part) for part in get_args(annotation)]
        return None if None in parts else tuple(one for part in parts for one in part or ())
    kind = annotation if origin is None else origin
    if not isinstance(kind, type) or is_protocol(kind) or is_typeddict(kind):
        return None
    return _ACCEPTED.get(kind, (kind,))
