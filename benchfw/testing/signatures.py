"""How the harness calls a component, and what comes back: the same in words for an author who wrote it otherwise."""

from __future__ import annotations

import inspect
import traceback
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Any

from benchfw import components
from benchfw.testing.check import Breach, said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

    from torch import Tensor

    from benchfw.components import Component
    from benchfw.dataset import FeatureDataset, ImageDataset
    from benchfw.training import Network

SAMPLE = "(labels, rng) -> rows"
PREDICT = "(rows) -> log-scores"


# ---- what it is called with ----


def check_methods(component: Component) -> None:
    """Hold each method to the arguments that its role declares, and each property to being one. Raises Breach.

    Names are the author's own, and so are further arguments with defaults.
    """
    for name, declared in _of_roles(type(component)):
        if isinstance(declared, property):
            if inspect.isfunction(inspect.getattr_static(component, name)):
                raise Breach(f"{name}: found a method; wants @property above it, or a plain value: {name} = ...")
        elif inspect.isfunction(declared):
            _check_method(name, getattr(component, name), declared)


def _of_roles(component: type[Component]) -> Iterator[tuple[str, object]]:
    """The public methods and properties of a component's roles, as the nearest role declares them."""
    declared: dict[str, object] = {}
    for owner in reversed(component.__mro__):
        if owner.__module__ == components.__name__:
            declared |= vars(owner)
    return ((name, value) for name, value in declared.items() if not name.startswith("_"))


def _check_method(name: str, found: object, declared: Callable[..., Any]) -> None:
    wants = f"wants {_written(name, declared)}"
    if not callable(found):
        raise Breach(f"{name}: found {_a(found)}; {wants}")
    if inspect.iscoroutinefunction(found) or inspect.isgeneratorfunction(found):
        raise Breach(f"{name}: found one with await or yield; wants a plain method")
    if not _takes(found, len(inspect.signature(declared).parameters) - 1):
        raise Breach(f"{name}: found {_written(name, found)}; {wants}")


def _takes(function: Callable[..., Any], size: int) -> bool:
    """Whether it can be called with so many arguments, as far as it says."""
    try:
        inspect.signature(function).bind(*range(size))
    except TypeError:
        return False
    except ValueError:  # it is written in C, and does not say
        return True
    return True


def _written(name: str, function: Callable[..., Any]) -> str:
    """`fit(self, train, val, ctx)`, as it stands in the source, without types."""
    signature = inspect.signature(getattr(function, "__func__", function))
    bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return f"{name}{' '.join(text.split())}"


# ---- what it returns ----


def function(found: Any, method: str, form: str) -> Callable[..., Any]:
    """What a method returned, when it can be called in that form, e.g. `(labels, rng) -> rows`. Raises Breach."""
    if not callable(found):
        raise Breach(f"{method} returned {_a(found)}; wants a function {form}")
    if not _takes(found, form.partition(")")[0].count(",") + 1):
        raise Breach(f"{method} returned {_written('a function ', found)}; wants a function {form}")
    made: Callable[..., Any] = found
    return made


def network(found: Any) -> Network:
    """What `build` of an extractor returned, when it is cut in two. Raises Breach."""
    from torch import nn

    if not isinstance(found, nn.Module) or not callable(getattr(found, "body", None)):
        raise Breach(f"build returned {_a(found)}; wants benchfw.training.Network(body, head)")
    made: Any = found
    return made  # type: ignore[no-any-return]


def dataset(found: Any) -> ImageDataset | FeatureDataset:
    """What `load` returned, when it is a data set. Raises Breach."""
    from benchfw.dataset import FeatureDataset, ImageDataset

    if not isinstance(found, ImageDataset | FeatureDataset):
        raise Breach(f"load returned {_a(found)}; wants an ImageDataset or a FeatureDataset")
    return found


def tensor(found: Any, method: str) -> Tensor:
    """What a method or its product returned, when it is a tensor. Raises Breach."""
    import torch

    if not isinstance(found, torch.Tensor):
        raise Breach(f"{method} returned {_a(found)}; wants a tensor")
    return found


def _a(found: object) -> str:
    """`a tuple`, `an int`, `None`."""
    name = type(found).__name__
    if found is None:
        return "None"
    return f"{'an' if name[0].lower() in 'aeiou' or name == 'ndarray' else 'a'} {name}"


# ---- what it raises ----


def explained(error: BaseException) -> str:
    """An exception in one line with the cure, where Python's own words say none; empty for any other."""
    if isinstance(error, FrozenInstanceError):
        return f"{said(error)}; keep nothing on self: put it into what the method returns"
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if frame.f_code.co_filename != components.__file__:
        return ""
    if isinstance(error, AttributeError) and frame.f_code is components.NeuralClassifier.network.__code__:
        return f"build returned {_a(error.obj)}; wants a torch.nn.Module"
    return _unwritten(frame.f_code) if isinstance(error, NotImplementedError) else ""


def _unwritten(code: CodeType) -> str:
    """What to write in place of a role's own method, which stands for one that is not written."""
    role, _, name = code.co_qualname.rpartition(".")
    declared = getattr(getattr(components, role), name)
    help_ = (inspect.getdoc(declared) or "").partition("\n")[0]
    return f"{name}: found none; write {_written(name, declared)}: {help_[:1].lower()}{help_[1:]}"
