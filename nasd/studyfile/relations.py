"""What tables of a study file say of each other: space and model, data and task, recipe and [train]."""

from __future__ import annotations

from dataclasses import replace

from nasd.domain.data import Task
from nasd.domain.recipe import SEARCHABLE, setting
from nasd.domain.study import ModelSpec, ParameterSpec, Role, Scalar, StudySpec
from nasd.studyfile import known
from nasd.studyfile.lines import Path as KeyPath
from nasd.studyfile.parameters import PARAMS, check_parsed, nearest
from nasd.studyfile.source import Source


def check_relations(source: Source, spec: StudySpec) -> None:
    """Refuse tables that don't go together.

    Raises:
        StudyFileError: at the key that has to change.
    """
    _check_data(source, spec)
    _check_model(source, spec)
    _check_preset(source, spec)
    if spec.space.kind == "custom":
        _check_custom(source, spec)
    elif spec.space.kind == "mlp" and spec.space.constraints:
        remedy = 'Narrow its choices instead, or declare the parameters yourself: kind = "custom"'
        raise source.error(("space", "constraints"), f"the mlp space takes none. {remedy}")
    for name, parameter in spec.space.params.items():
        if parameter.role is Role.RECIPE:
            _check_recipe(source, spec, name, parameter)


def _check_data(source: Source, spec: StudySpec) -> None:
    data, task = spec.data, spec.train.task
    tasks = known.TASKS_OF[data.use] if data.use is not None else tuple(Task)
    if task not in tasks and source.value(("data", "use")) is None:
        problem = f'is not for the data set "{data.use}", the default'
        raise source.error(("train", "task"), f'{problem}. Name the data, for example [data] use = "text"')
    if task not in tasks:
        wanted = " or ".join(f'"{each}"' for each in tasks)
        raise source.error(("data", "use"), f'is not for train.task = "{task}". Write task = {wanted} in [train]')
    if data.context is not None and task is not Task.LM:
        raise source.error(("data", "context"), f'is for texts: train.task = "lm", not "{task}". Remove the key')
    for key in ("validation", "test"):
        if data.use == "text" and source.value(("data", key)) is not None:
            raise source.error(("data", key), 'the data set "text" is cut 90 to 5 to 5. Remove the key')


def _check_model(source: Source, spec: StudySpec) -> None:
    if spec.evaluation is not None and spec.model != ModelSpec():
        problem = "[evaluation] run builds, trains and measures itself, so that [model] would never be used"
        raise source.error(("model",), f"{problem}. Remove one of the two tables")
    if spec.model.freeze and spec.model.init is None and spec.model.build is None:
        raise source.error(("model", "freeze"), "would keep random weights as they are. Give init, or remove the key")


def _check_preset(source: Source, spec: StudySpec) -> None:
    preset = spec.space.preset
    if preset is None:
        return
    presets = known.PRESETS[spec.space.kind]
    if not presets:
        raise source.error(("space", "preset"), f"the {spec.space.kind} space has no presets. Remove the key")
    if preset not in presets:
        raise source.error(("space", "preset"), f"no such preset; {known.choose(preset, presets, what='presets')}")


def _check_custom(source: Source, spec: StudySpec) -> None:
    space = spec.space
    if not space.params:
        example = "width = { choice = [64, 128] }"
        raise source.error(("space", "params"), f"a custom space has no parameters but yours. Add some: {example}")
    if spec.model.build is None and spec.evaluation is None:
        problem = "nothing says how its networks are built"
        remedy = '[model] build = "package.module:function", or [evaluation] run = "package.module:function"'
        raise source.error(("space", "kind"), f"{problem}. Add {remedy}")
    lists = {name: entry.each for name, entry in space.params.items() if entry.each is not None}
    for name, entry in space.params.items():
        path = (*PARAMS, name)
        if entry.each is not None:
            _check_count(source, spec, (*path, "each"), entry.each)
        if entry.when is not None:
            reads = check_parsed(source, (*path, "when"), entry.when, names=space.params, lists=lists)
            if name in reads:
                raise source.error((*path, "when"), f"asks {name} itself whether it exists. Name other parameters")
    for index, text in enumerate(space.constraints):
        check_parsed(source, ("space", "constraints", index), text, names=space.params, lists=lists)


def _check_count(source: Source, spec: StudySpec, path: KeyPath, count: str) -> None:
    owner = spec.space.params.get(count)
    if owner is None:
        raise source.error(path, f"no such parameter; {nearest(count, spec.space.params)}")
    whole = owner.int_range is not None or all(type(option) is int for option in owner.choice or (None,))
    least = min(owner.int_range or owner.choice or (0,)) if whole else -1
    if owner.each is not None or owner.role is Role.RECIPE or not whole or int(least) < 0:
        raise source.error(path, f"{count} is no count. Name a parameter that is one whole number from 0")


def _check_recipe(source: Source, spec: StudySpec, name: str, entry: ParameterSpec) -> None:
    path = (*PARAMS, name)
    if name not in SEARCHABLE:
        tail = known.choose(name, SEARCHABLE, what="settings of [train]")
        raise source.error(path, f'role = "recipe" is for settings of [train] that can be searched; {tail}')
    if source.value(("train", name)) is not None and entry.when is None:
        problem = f"is searched by space.params.{name}, so that this value would never be used"
        raise source.error(("train", name), f"{problem}. Remove one of the two")
    ends = entry.choice or entry.int_range or entry.float_range or entry.log_range or ()
    values: tuple[Scalar, ...] = (*ends, *(() if entry.otherwise is None else (entry.otherwise,)))
    for value in values:
        try:
            replace(spec.train, **{name: setting(name, value)})  # type: ignore[arg-type]
        except ValueError as error:
            raise source.error(path, str(error)) from error
