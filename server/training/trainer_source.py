"""Reads the keys of `sdxl_train_network.py` from a checkout of sd-scripts, without running it: it imports torch.

The parser is put together by functions that hand it on: `setup_parser` calls `train_util.add_training_arguments(parser,
True)` and so on. They are followed in the source; what a branch asks (`if support_dreambooth:`) is known from the
arguments of the call.
"""

import ast
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from server.training.findings import TrainingError
from server.training.keys import Key, Kind

SCRIPT = "sdxl_train_network"
_KINDS: Mapping[str, Kind] = {
    "str": "text",
    "int": "integer",
    "float": "number",
    "int_or_float": "number",
    "Path": "text",
}


def read_keys(checkout: Path) -> dict[str, Key]:
    """Every key of the script in `checkout`, in its order, by name.

    Raises:
        TrainingError: it is no checkout of sd-scripts, or its parser is built in a way that is not known here.
    """
    if not (checkout / f"{SCRIPT}.py").is_file():
        raise TrainingError(f"{checkout} is no checkout of sd-scripts: {SCRIPT}.py is not there.")
    source = _Source(checkout)
    found = {key.name: key for key in source.arguments(SCRIPT, "setup_parser", [])}
    if not found:
        raise TrainingError(f"{SCRIPT}.py in {checkout} builds its parser in a way that is not known here.")
    return found


class _Source:
    """The modules of a checkout, parsed once each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules: dict[str, ast.Module] = {}

    def arguments(self, module: str, function: str, given: list[object]) -> Iterator[Key]:
        """The keys that a function adds, and those it has others add. `given`: its positional constants."""
        tree = self._parsed(module)
        defined = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == function), None)
        if defined is None:
            raise TrainingError(f"{module}.py has no function {function} any more.")
        asked, defaults = [arg.arg for arg in defined.args.args], defined.args.defaults
        names: dict[str, object] = {
            name: default.value
            for name, default in zip(reversed(asked), reversed(defaults), strict=False)
            if isinstance(default, ast.Constant)
        }
        names |= dict(zip(asked, given, strict=False))
        yield from self._body(module, defined.body, names)

    def _body(self, module: str, statements: list[ast.stmt], names: Mapping[str, object]) -> Iterator[Key]:
        for statement in statements:
            match statement:
                case ast.If(test=ast.Name(id=name), body=body, orelse=other) if name in names:
                    yield from self._body(module, body if names[name] else other, names)
                case ast.Expr(value=ast.Call() as call) | ast.Assign(value=ast.Call() as call):
                    yield from self._call(module, call, names)

    def _call(self, module: str, call: ast.Call, names: Mapping[str, object]) -> Iterator[Key]:
        match call.func:
            case ast.Attribute(attr="add_argument"):
                yield self._key(module, call)
            case ast.Attribute(value=ast.Name(id=owner), attr=function):
                path = self._imported(module).get(owner)
                if path and (function == "setup_parser" or _hands_on(call)):
                    yield from self.arguments(path, function, self._constants(call, names))
            case ast.Name(id=function) if _hands_on(call):
                there = self._imported(module).get(function)
                where = there.rpartition(".")[0] if there else module
                yield from self.arguments(where, function, self._constants(call, names))

    def _key(self, module: str, call: ast.Call) -> Key:
        flag = next(str(one.value) for one in call.args if isinstance(one, ast.Constant))
        said = {one.arg: one.value for one in call.keywords}
        kind = self._kind(said)
        choices = self._value(module, said["choices"]) if "choices" in said else ()
        default = self._value(module, said["default"]) if "default" in said else (False if kind == "flag" else None)
        return Key(
            name=flag.lstrip("-").replace("-", "_"),
            kind=kind,
            many="nargs" in said,
            choices=tuple(one for one in choices if one is not None),
            default=default,
        )

    def _kind(self, said: Mapping[str | None, ast.expr]) -> Kind:
        match said.get("action"):
            case ast.Constant(value="store_true"):
                return "flag"
        match said.get("type"):
            case None:
                return "text"
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in _KINDS:
                return _KINDS[name]
            case other:
                raise TrainingError(f"sd-scripts has a type that is not known here: {ast.unparse(other)}.")

    def _value(self, module: str, node: ast.expr) -> Any:
        """A constant, written out or by the name that its module gives it."""
        if isinstance(node, ast.Name):
            for statement in self._parsed(module).body:
                match statement:
                    case ast.Assign(targets=[ast.Name(id=node.id)], value=value):
                        return self._value(module, value)
        return ast.literal_eval(node)

    def _constants(self, call: ast.Call, names: Mapping[str, object]) -> list[object]:
        def value(node: ast.expr) -> object:
            match node:
                case ast.Constant(value=constant):
                    return constant
                case ast.Name(id=name):
                    return names.get(name)
            return None

        return [value(node) for node in call.args]

    def _imported(self, module: str) -> dict[str, str]:
        """Name → what it stands for, `library.train_util` or `library.utils.add_logging_arguments`."""
        found: dict[str, str] = {}
        for node in ast.walk(self._parsed(module)):
            match node:
                case ast.Import(names=aliases):
                    found |= {(one.asname or one.name).rpartition(".")[2]: one.name for one in aliases}
                case ast.ImportFrom(module=str(source), names=aliases):
                    found |= {one.asname or one.name: f"{source}.{one.name}" for one in aliases}
        return found

    def _parsed(self, module: str) -> ast.Module:
        if module not in self._modules:
            path = self._folder.joinpath(*module.split(".")).with_suffix(".py")
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of its backslashes, which are not ours to mend
                    self._modules[module] = ast.parse(path.read_text(encoding="utf-8"))
            except (OSError, SyntaxError) as error:
                raise TrainingError(f"{path} cannot be read: {error}.") from error
        return self._modules[module]


def _hands_on(call: ast.Call) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.Name) and call.args[0].id == "parser"
