"""What a step of a recipe is: options that are read from TOML, and a function Graph -> Graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import AfterValidator, ConfigDict

from ...graph import Graph, Node
from ...kernels.costs import CORE
from ...quantize.partial import choose
from ...targets import DataModel

if TYPE_CHECKING:
    from ..data import Data


class Show(Protocol):
    """Told what is being done, and how far it is where that is known."""

    def __call__(self, text: str, done: float = 0.0, total: float | None = None) -> None: ...


def hide(text: str, done: float = 0.0, total: float | None = None) -> None:
    """Shows nothing."""


@dataclass(frozen=True, eq=False)
class Context:
    """What a step may use beside the graph that it is given."""

    where: str
    """The step, for errors and progress: `step 2 (prune)`."""
    original: Graph
    """The model that the recipe was given."""
    train: Data | None
    seed: int
    """This step's own."""
    folder: Path
    """Where it keeps checkpoints, which no other step looks at."""
    loss: Callable[[Any, Any], Any] | None = None
    """The user's own, from (outputs, targets) to a scalar tensor."""
    show: Show = hide
    core: str = CORE
    """A folder of targets/: what the model is for."""
    teachers: Mapping[str, Graph] = field(default_factory=dict)
    """Models that steps name as teachers, by that name."""


class Options(DataModel):
    """Base of everything in a recipe: numbers are numbers and text is text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Step(Options):
    """Base of all steps."""

    takes: ClassVar[Literal["float", "quantized", "any"]] = "float"
    gives: ClassVar[Literal["float", "quantized", "same"]] = "same"
    data: ClassVar[bool] = True
    """Whether training data is needed."""
    unshared: ClassVar[bool] = False
    """Whether it takes weights that do not share their values yet."""
    shares: ClassVar[bool] = False
    """Whether it leaves weights that share their values."""

    @property
    def do(self) -> str:
        """What recipes call it."""
        return type(self).__module__.rpartition(".")[2].replace("_", "-")

    @property
    def needs_data(self) -> bool:
        """Whether it looks at the training data."""
        return self.data

    @property
    def needs_targets(self) -> bool:
        """Whether it looks at what the training data says is right."""
        return self.needs_data

    @property
    def unfit_for_shared(self) -> str:
        """The option that cannot be with weights that share values; empty where there is none."""
        return ""

    def given(self, *options: str) -> list[str]:
        """Those that are not as they are by default."""
        return [o for o in options if getattr(self, o) != type(self).model_fields[o].default]

    def teacher_names(self) -> tuple[str, ...]:
        """The models beside the original that it learns from, as the recipe names them."""
        return ()

    def check(self, graph: Graph) -> None:
        """Refuse what cannot work, as far as the float model shows it that the recipe is given. Raises DataError."""

    def check_teachers(self, graph: Graph, teachers: Mapping[str, Graph]) -> None:
        """Refuse teachers that the model cannot learn from, before anything is trained. Raises DataError.

        `teachers`: those of `teacher_names`, and the model itself as `input`.
        """

    def apply(self, graph: Graph, context: Context) -> Graph:
        """The step itself. Interrupted and called again with the same arguments, it goes on where it was."""
        raise NotImplementedError


def check_layers(graph: Graph, option: str, layers: Collection[str]) -> None:
    """Raises DataError, with the nearest names, for a name or pattern that no layer with weights has."""
    weighted(graph, layers, option)


def weighted(graph: Graph, layers: Collection[str] = ("*",), option: str = "layers") -> list[Node]:
    """The layers with weights that names or patterns mean. Raises DataError as `check_layers`."""
    nodes = tuple(n for n in graph.nodes if n.op.weighted)
    wanted = choose(replace(graph, nodes=nodes), layers, option)
    return [n for n in nodes if n.outputs[0] in wanted]


def _parts(value: Any) -> Any:
    if isinstance(value, Mapping) and not value:
        raise ValueError("names no layer; allowed: a number for all, or a table of layers")
    for part in value.values() if isinstance(value, Mapping) else (value,):
        if not 0 <= part < 1:
            raise ValueError(f"is {part}; allowed: at least 0 and below 1")
    return value


Parts = Annotated[float | dict[str, float], AfterValidator(_parts)]
"""A part in [0, 1) for all layers, or by the name of a layer or a pattern."""
