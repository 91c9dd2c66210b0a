"""The rows of the table: which models there are, which of them make a row, and the paper's figures.

The figures are those of Bengio, Ducharme, Vincent and Jauvin, "A Neural Probabilistic Language
Model" (JMLR 3:1137-1155, 2003), table 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "MODELS",
    "PAPER_SCHEDULE",
    "REFERENCE",
    "ROWS",
    "Figures",
    "NGram",
    "Network",
    "Row",
    "Schedule",
    "choose",
    "models_of",
    "settled",
]

Schedule: TypeAlias = Literal["modern", "paper"]

REFERENCE = "KN5"
"""The row that all others are divided by."""


@dataclass(frozen=True)
class Figures:
    """Perplexities; None where nobody has published one."""

    train: float | None
    valid: float | None
    test: float | None


@dataclass(frozen=True)
class NGram:
    """A model that is counted: which kind, of which order, and which form of Kneser-Ney."""

    kind: Literal["trigram", "kneser-ney"]
    n: int
    modified: bool = False


@dataclass(frozen=True)
class Network:
    """The sizes of a network, and how it is trained.

    `n` is the paper's: n - 1 words are looked at. The learning rate climbs over the first twentieth
    of the steps and then falls along half a cosine to 0, where the optimizer is AdamW. Of SGD it is
    that of one example, lr / (1 + decay·t) after t of them; a step moves as far as its examples
    would. With `minutes` a network is trained for fewer epochs, as many as fit, should `epochs`
    take longer, whatever the machine: the plan is kept. `patience` counts evaluations, of which
    there are two an epoch, or one where there are more than five epochs.
    """

    n: int
    hidden_dim: int
    embedding_dim: int
    direct: bool = False
    tie_weights: bool = False
    dropout: float = 0.0
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 3e-3
    decay: float = 0.0
    weight_decay: float = 0.1
    batch_size: int = 256
    epochs: float = 4.0
    patience: int = 3
    minutes: float | None = 4.0

    def changed(self, name: str, settings: Mapping[str, Any]) -> Network:
        """Return the network with other settings.

        Raises `ValueError`, with the network's name, for one that it has not, or a value of another
        kind; what else makes no sense is refused when it is trained.
        """
        values = {key: _fitting(self, name, key, value) for key, value in settings.items()}
        return replace(self, **values)


@dataclass(frozen=True)
class Row:
    """A line of the table: the weighted mean of one model or more.

    Without `weights` they are learned on the validation part.
    """

    name: str
    title: str
    models: tuple[str, ...]
    weights: tuple[float, ...] | None
    paper: Figures | None = None


# Section 4.2 of the paper, but for the batch; for the paper's own networks, if asked for.
PAPER_SCHEDULE: dict[str, Any] = {
    "optimizer": "sgd",
    "lr": 1e-3,
    "decay": 1e-8,
    "weight_decay": 1e-4,
    "batch_size": 256,
    "epochs": 20.0,
    "patience": 4,
    "minutes": None,
}

# The architecture of rows 1, 3, 5, 7 and 9; the even rows are mixtures of the network before.
_PAPERS = {
    "MLP1": Network(n=5, hidden_dim=50, embedding_dim=60, direct=True),
    "MLP3": Network(n=5, hidden_dim=0, embedding_dim=60, direct=True),
    "MLP5": Network(n=5, hidden_dim=50, embedding_dim=30, direct=True),
    "MLP7": Network(n=3, hidden_dim=50, embedding_dim=30, direct=True),
    "MLP9": Network(n=5, hidden_dim=100, embedding_dim=30),
}

# Of what was tried, weight decay and a long context were worth most beside dropout.
_OURS = Network(
    n=16, hidden_dim=500, embedding_dim=300, tie_weights=True, dropout=0.5, weight_decay=0.3
)

MODELS: dict[str, NGram | Network] = {
    "trigram": NGram("trigram", 3),
    "KN3": NGram("kneser-ney", 3),
    "KN5": NGram("kneser-ney", 5),
    "mKN3": NGram("kneser-ney", 3, modified=True),
    "mKN5": NGram("kneser-ney", 5, modified=True),
    **_PAPERS,
    "quick": replace(_OURS, hidden_dim=300, embedding_dim=200, lr=2e-3, minutes=4.5),
    # The learning rate stays high for so long that the loss on valid may pause.
    "best": replace(_OURS, lr=1.5e-3, epochs=12.0, patience=12, minutes=24.0),
}
"""Every model of the table by name."""

_FIGURES = {
    "trigram": Figures(31, 352, 336),
    "KN3": Figures(None, 334, 323),
    "KN5": Figures(None, 332, 321),
    "MLP1": Figures(182, 284, 268),
    "MLP2": Figures(None, 275, 257),
    "MLP3": Figures(201, 327, 310),
    "MLP4": Figures(None, 286, 272),
    "MLP5": Figures(209, 296, 279),
    "MLP6": Figures(None, 273, 259),
    "MLP7": Figures(210, 309, 293),
    "MLP8": Figures(None, 284, 270),
    "MLP9": Figures(175, 280, 276),
    "MLP10": Figures(None, 265, 252),
}


def _single(name: str, title: str) -> Row:
    return Row(name, title, (name,), (1.0,), _FIGURES.get(name))


def _half_and_half(number: int) -> Row:
    name, network = f"MLP{number}", f"MLP{number - 1}"
    title = f"{network} and the trigram, half and half"
    return Row(name, title, (network, "trigram"), (0.5, 0.5), _FIGURES[name])


ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        _single("trigram", "interpolated trigram"),
        _single("KN3", "Kneser-Ney, order 3"),
        _single("KN5", "Kneser-Ney, order 5"),
        _single("mKN3", "modified Kneser-Ney, order 3"),
        _single("mKN5", "modified Kneser-Ney, order 5"),
        *(
            _single(f"MLP{number}", f"the paper's MLP{number}")
            if number % 2
            else _half_and_half(number)
            for number in range(1, 11)
        ),
        _single("quick", "ours, trained for minutes"),
        _single("best", "ours, one network"),
        Row("best-mixture", "ours, weights learned", ("best", "quick", "mKN5", "trigram"), None),
    )
}
"""Every row of the table by name, in order."""

# Those that are always there: they take a second.
_ANCHORS = [name for name, row in ROWS.items() if isinstance(MODELS.get(name), NGram)]


def choose(names: Iterable[str] | None = None) -> list[Row]:
    """Return the rows of these names, the n-gram models always among them, in the table's order.

    Raises `ValueError` for a name that no row has.

    >>> [row.name for row in choose(["MLP10"])]
    ['trigram', 'KN3', 'KN5', 'mKN3', 'mKN5', 'MLP10']
    """
    if isinstance(names, str):
        raise TypeError(f"rows is {names!r}; expected a list of names")
    wanted = list(ROWS) if names is None else list(names)
    for name in wanted:
        if name not in ROWS:
            raise ValueError(f"rows has {name!r}; expected names among {', '.join(ROWS)}")
    return [row for name, row in ROWS.items() if name in wanted or name in _ANCHORS]


def models_of(rows: Iterable[Row]) -> list[str]:
    """Return the names of the models that rows need, each once, those that are quick to make first.

    >>> models_of([ROWS["MLP4"], ROWS["MLP3"]])
    ['trigram', 'MLP3']
    """
    needed = {name for row in rows for name in row.models}
    return [name for name in MODELS if name in needed]


def settled(
    rows: Iterable[Row],
    schedule: Schedule = "modern",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    common: Mapping[str, Any] | None = None,
) -> dict[str, NGram | Network]:
    """Return the models that rows need by name, with the settings that were asked for.

    Under the schedule "paper" the paper's networks are trained as it says. `common` is for all
    networks, where it is not None, `settings` for those named. Raises `ValueError` for a name or a
    setting that there is not.
    """
    if schedule not in ("modern", "paper"):
        raise ValueError(f"schedule is {schedule!r}; expected 'modern' or 'paper'")
    models = dict(MODELS)
    if schedule == "paper":
        models |= {name: replace(network, **PAPER_SCHEDULE) for name, network in _PAPERS.items()}
    wanted = dict(settings or {})
    networks = {name: model for name, model in models.items() if isinstance(model, Network)}
    for name in wanted:
        if name not in networks:
            raise ValueError(f"no network is named {name!r}; expected one of {', '.join(networks)}")
    for_all = {key: value for key, value in (common or {}).items() if value is not None}
    for name, network in networks.items():
        models[name] = network.changed(name, {**for_all, **wanted.get(name, {})})
    return {name: models[name] for name in models_of(rows)}


def _fitting(network: Network, name: str, key: str, value: Any) -> Any:
    """Return a setting's new value, as the kind of number that the setting is."""
    if key not in network.__dataclass_fields__:
        known = ", ".join(network.__dataclass_fields__)
        raise ValueError(f"{name} has no setting {key!r}; expected one of {known}")
    kind = type(getattr(network, key))
    if key == "minutes" and value is None:
        return None
    if kind in (bool, str):
        fits = value in ((True, False) if kind is bool else ("adamw", "sgd"))
        expected = "true or false" if kind is bool else "'adamw' or 'sgd'"
    else:
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        fits = numeric and 0 <= value < float("inf") and (kind is not int or value == int(value))
        expected = f"a {'whole ' * (kind is int)}number, at least 0"
    if not fits:
        raise ValueError(f"{name}.{key} is {value!r}; expected {expected}")
    # So that 3 and 3.0 are one setting, also in a file.
    return value if kind in (bool, str) else int(value) if kind is int else float(value)
