"""The model card of an export, for people, and the same as JSON, for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from nasd import __version__
from nasd.domain.data import INIT
from nasd.domain.devices import DevicePrecision
from nasd.domain.measurement import Measurement
from nasd.domain.recipe import train_spec
from nasd.exporting.accuracy import Accuracy, spread_of
from nasd.exporting.formats import Format
from nasd.exporting.parity import Parity
from nasd.exporting.preprocessing import INPUT, OUTPUT, Interface
from nasd.exporting.trained import Agreement
from nasd.exporting.trial import Row, TrialRecord

_OF_TRAINING = frozenset({"val_error", "val_loss", "train_loss"})
_SHOWN_CONDITIONS = ("runtime", "provider", "precision", "batch", "threads", "processor", "unsteady")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was exported, and how well it is known.

    Attributes:
        file: its name in the folder.
        batch: it takes; None: any.
        precision: of its weights and arithmetic; inputs and outputs are float32 in each.
        accuracy: what the conversion to that precision cost; None: there was none.
        parity: of its answers with the trained module's, on validation samples.
        versions: of the libraries that made it.
    """

    format: Format
    file: str
    sha256: str
    n_bytes: int
    batch: int | None
    precision: DevicePrecision
    accuracy: Accuracy | None
    parity: Parity
    source: str
    val_error: Measurement
    val_loss: Measurement
    agreement: Agreement
    interface: Interface
    versions: Mapping[str, str]


def as_json(trial: TrialRecord, made: Exported) -> dict[str, object]:
    """All of the card, to be read by a program."""
    data = asdict(trial.facts) | {"classes": list(trial.facts.classes), "input_shape": list(trial.facts.input_shape)}
    return {
        "nasd": __version__,
        "study": trial.study,
        "trial": trial.number,
        "architecture": trial.architecture.json,
        "architecture_key": trial.architecture.key,
        "file": {"name": made.file, "format": str(made.format), "sha256": made.sha256, "n_bytes": made.n_bytes},
        "batch": made.batch,
        "precision": str(made.precision),
        **made.interface.to_json(),
        "data": data | {"sha256": dict(trial.facts.sha256)},
        "recipe": {"hash": trial.recipe, "steps": trial.steps, **_recipe(trial)},
        "seeds": {"study": trial.spec.seed, "training": trial.seed, "split": trial.facts.seed},
        "scores": {
            one.name: {"value": one.value, "spread": one.spread, "n": one.n} for one in (made.val_error, made.val_loss)
        },
        "recorded": {"val_error": made.agreement.recorded, "agrees": made.agreement.is_good, "weights": made.source},
        "accuracy": None if made.accuracy is None else made.accuracy.to_json(),
        "values": dict(trial.values),
        "fronts": list(trial.fronts),
        "measurements": [_measurement(row) for row in trial.measurements],
        "parity": {"max_abs_error": made.parity.error, "n": made.parity.n, "n_unstable": made.parity.n_unstable},
        "versions": dict(made.versions),
        "licence": None,
    }


def as_text(trial: TrialRecord, made: Exported) -> str:
    """Markdown."""
    sections = [
        _head(trial),
        _use(made),
        _scores(made),
        _cost(made),
        _devices(trial),
        _section("Architecture", _pairs(trial.architecture.as_dict())),
        _training(trial),
        _origin(trial, made),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(trial: TrialRecord) -> str:
    return (
        f"# {trial.study}, trial {trial.number}\n\nLicence: *to be filled in by whoever publishes this*\n\n"
        f"A `{trial.architecture.space}` network for {trial.facts.task} of {trial.facts.name}, found and measured by "
        f"nasd {__version__}."
    )


def _use(made: Exported) -> str:
    face = made.interface
    to, of = _shape(face.input_shape, made.batch), _shape(face.output_shape, made.batch)
    lines = [
        f"- Input `{INPUT}`: {face.dtype} {to}",
        f"- Output `{OUTPUT}`: float32 {of}: {face.meaning}",
        f"- {face.before}.",
    ]
    if face.target_mean:
        lines.append(f"- Afterwards: y = output * {list(face.target_deviation)} + {list(face.target_mean)}.")
    if face.classes:
        lines.append(f"- Classes, in order: {', '.join(face.classes)}.")
    return "## Use\n\n" + "\n".join(lines) + f"\n\n```python\n{_CODE[made.format].format(prepare=_prepare(face))}\n```"


def _prepare(face: Interface) -> str:
    if face.mean is None:
        return "x = x.astype(np.int64)"
    return f"x = ((x.astype(np.float64) - {face.mean!r}) / {face.deviation!r}).astype(np.float32)"


_CODE: Mapping[Format, str] = {
    Format.ONNX: (
        "import numpy as np, onnxruntime\n{prepare}\n"
        'session = onnxruntime.InferenceSession("model.onnx")\n'
        f'(output,) = session.run(["{OUTPUT}"], {{{{"{INPUT}": x}}}})'
    ),
    Format.SAFETENSORS: (
        "import numpy as np, torch\nfrom nasd.exporting import load\n{prepare}\n"
        'output = load("model.safetensors")(torch.from_numpy(x))'
    ),
    Format.PT2: (
        'import numpy as np, torch\n{prepare}\noutput = torch.export.load("model.pt2").module()(torch.from_numpy(x))'
    ),
    Format.EXECUTORCH: (
        "import numpy as np, torch\nfrom executorch.runtime import Runtime\n{prepare}\n"
        'method = Runtime.get().load_program("model.pte").load_method("forward")\n'
        "(output,) = method.execute([torch.from_numpy(x)])"
    ),
}


def _scores(made: Exported) -> str:
    rows = [
        (one.name, f"{one.value:.6g}", _plus_minus(one.spread), one.unit, str(one.n))
        for one in (made.val_error, made.val_loss)
    ]
    table = _table(("on the validation split", "value", "spread", "unit", "samples"), rows)
    reach = "The weights of this file reach these" if made.accuracy is None else "The network in float32 reaches these"
    return (
        f"## Scores\n\n{table}\n\n{reach} ({made.source}): {made.agreement}. The spread "
        "is the standard error over samples. The test split was not looked at: no search sees it. Choosing the best of "
        "many trials by the validation split makes its error optimistic."
    )


def _cost(made: Exported) -> str:
    """Of the conversion to fewer bits."""
    if (cost := made.accuracy) is None:
        return ""
    rows = [
        (name, f"{before:.6g}", f"{after:.6g}", _plus_minus(spread_of(cost.converted, name)))
        for name, before, after in cost.pairs
    ]
    table = _table(
        ("on the validation split", "trained network, float32", f"this file, {made.precision}", "spread"), rows
    )
    how = f" It was converted by {cost.method} quantisation." if cost.method else ""
    alike = f" It gives {cost.agreement}." if cost.agreement else ""
    return (
        f"## What {made.precision} costs\n\n{table}\n\nOver all {cost.trained.n} samples, in ONNX Runtime and in torch."
        f"{how}{alike} Its output {made.parity}."
    )


def _devices(trial: TrialRecord) -> str:
    rows = []
    for row in trial.measurements:
        if row["name"] in _OF_TRAINING:
            continue
        conditions = row["conditions"]
        assert isinstance(conditions, Mapping)
        how = ", ".join(f"{name} {conditions[name]}" for name in _SHOWN_CONDITIONS if conditions.get(name) is not None)
        names = [str(row[name]) for name in ("device_kind", "name")]
        rows.append((*names, f"{row['value']:.6g}", _plus_minus(row["spread"]), str(row["unit"]), str(row["n"]), how))
    if not rows:
        return "## Measured\n\nOn no device."
    on = f"\n\nOn the fronts of: {', '.join(trial.fronts)}." if trial.fronts else ""
    head = ("device kind", "quantity", "value", "spread", "unit", "n", "how")
    return f"## Measured\n\n{_table(head, rows)}{on}"


def _training(trial: TrialRecord) -> str:
    facts, spec = trial.facts, trial.spec
    hashes = {f"data, {part}": f"sha256 {value}" for part, value in facts.sha256.items() if part != INIT}
    init = {"weights begin with": f"sha256 {facts.sha256[INIT]}"} if INIT in facts.sha256 else {}
    pairs = {
        "data": f"{facts.name}: {facts.n_train} training, {facts.n_validation} validation, {facts.n_test} test samples",
        **hashes,
        **init,
        "optimiser steps": trial.steps,
        **_recipe(trial),
        "seed of the study": spec.seed,
        "seed of weights, data order and dropout": trial.seed,
        "seed of the split": facts.seed,
        "recipe": trial.recipe,
    }
    return _section("Training", _pairs(pairs))


def _recipe(trial: TrialRecord) -> dict[str, object]:
    """[train] with the searched settings put in, without what is not set."""
    found = asdict(train_spec(trial.architecture, trial.spec))
    return {
        name: str(value) if isinstance(value, str) else value
        for name, value in found.items()
        if value is not None and value != () and name not in ("steps", "needs")
    }


def _origin(trial: TrialRecord, made: Exported) -> str:
    pairs = {
        "study, trial": f"{trial.study}, {trial.number} ({trial.operator or 'unknown origin'}, {trial.state})",
        "architecture key": trial.architecture.key,
        "file": f"{made.file}, {made.n_bytes:,} bytes, sha256 {made.sha256}",
        "parity" if made.accuracy is None else "after conversion": made.parity,
        "made with": ", ".join(f"{name} {version}" for name, version in made.versions.items()),
    }
    return _section("Origin", _pairs(pairs))


def _measurement(row: Row) -> dict[str, object]:
    names = ("name", "value", "unit", "spread", "n", "device_kind", "stage", "conditions")
    return {name: row[name] for name in names if name in row}


def _shape(shape: Sequence[int | None], batch: int | None) -> str:
    first = "batch" if batch is None else str(batch)
    return f"({', '.join([first, *map(str, shape[1:])])}{',' if len(shape) == 1 else ''})"


def _plus_minus(spread: object) -> str:
    return f"{spread:.2g}" if isinstance(spread, int | float) else "-"


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


def _pairs(pairs: Mapping[str, object]) -> str:
    return "\n".join(f"- {name}: {_plain(value)}" for name, value in pairs.items())


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
