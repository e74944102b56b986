"""[space], [model] and recipes in the study file: what is read, and the one sentence that each mistake gets."""

import pytest
from study_refusal import assert_refused

from nasd.domain.architecture import Architecture
from nasd.domain.recipe import model_genes, searched, train_spec
from nasd.domain.study import ModelSpec, ParameterSpec, Role
from nasd.studyfile import changes, load, spec_from_json, spec_to_json

BASE = "[objectives]\nval_error = {}\n[budget]\ntrials = 60\n"
CUSTOM = '[space]\nkind = "custom"\n'
BUILD = '[model]\nbuild = "cam.models:build"\n'
KITCHEN = (
    '[space]\nkind = "custom"\nconstraints = ["width % groups == 0"]\n'
    "[space.params]\n"
    "blocks = { int = [3, 8] }\n"
    "width = { choice = [32, 64, 128], ordered = true }\n"
    'kernel = { choice = [3, 5, 7], each = "blocks" }\n'
    'groups = { choice = [1, 4], when = "blocks > 4", otherwise = 1 }\n'
    'lr = { log = [1e-4, 1e-2], role = "recipe" }\n'
)


def test_a_space_of_ones_own_is_read_as_it_is_written(study):
    """Every form that a parameter has, in the order of the file: it is the order in which they are drawn."""
    spec = load(study(KITCHEN + BUILD + BASE))

    assert list(spec.space.params.items()) == [
        ("blocks", ParameterSpec(int_range=(3, 8))),
        ("width", ParameterSpec(choice=(32, 64, 128), ordered=True)),
        ("kernel", ParameterSpec(choice=(3, 5, 7), each="blocks")),
        ("groups", ParameterSpec(choice=(1, 4), when="blocks > 4", otherwise=1)),
        ("lr", ParameterSpec(log_range=(1e-4, 1e-2), role=Role.RECIPE)),
    ]
    assert spec.space.constraints == ("width % groups == 0",)
    assert spec.model == ModelSpec(build="cam.models:build")


def test_parameters_named_like_fields_keep_their_names(study):
    """The keys int, float, log and time have other names inside; a parameter of that name has its own."""
    path = study(CUSTOM + "[space.params]\ntime_s = { int = [1, 4] }\nint_range = [1, 2]\n" + BUILD + BASE)

    spec = load(path)

    assert list(spec.space.params) == ["time_s", "int_range"]
    assert list(spec_from_json(spec_to_json(spec)).space.params) == ["time_s", "int_range"]


def test_a_changed_parameter_is_named_once(study):
    """Nine fields of one parameter would bury the sentence."""
    old, new = load(study(KITCHEN + BUILD + BASE)), load(study(KITCHEN.replace("[1, 4]", "[1, 2]") + BUILD + BASE))
    swapped = KITCHEN.replace("blocks = { int = [3, 8] }\n", "") + "blocks = { int = [3, 8] }\n"

    assert changes(old, new) == ["space.params.groups"]
    assert changes(old, load(study(swapped + BUILD + BASE))) == ["space.params"]


def test_a_stored_space_of_the_first_version_is_read():
    """Its parameters were a table of lists; studies that ran then are shown now."""
    value = spec_to_json(spec_from_json(FIRST_VERSION))

    assert value["space"]["params"][0]["choice"] == [128, 256]


FIRST_VERSION = {
    "name": "old",
    "space": {"kind": "mlp", "params": {"width": [128, 256]}},
    "objectives": [{"name": "val_error"}],
    "budget": {"trials": 3},
}


def parameter(text):
    """A custom study with one parameter more, on line 5."""
    return CUSTOM + f"[space.params]\nblocks = {{ int = [3, 8] }}\n{text}\n" + BUILD + BASE


def constrained(text):
    """A custom study with one constraint, on line 3."""
    return CUSTOM + f"constraints = [{text}]\n[space.params]\nblocks = {{ int = [3, 8] }}\n" + BUILD + BASE


P = "study.toml:5: space.params."
REFUSED = {
    "reversed": (parameter("x = { int = [8, 3] }"), P + "x.int = [8, 3]", "Write the smaller number first: [3, 8]"),
    "one end": (parameter("x = { int = [8] }"), P + "x.int = [8]", "must be two whole numbers"),
    "float for int": (parameter("x = { int = [1, 2.5] }"), P + "x.int = [1, 2.5]", "such as [1, 8]"),
    "text for float": (parameter('x = { float = ["a", 1] }'), P + "x.float", "must be two numbers"),
    "infinite": (parameter("x = { float = [0, inf] }"), P + "x.float", "must be two numbers"),
    "log from 0": (parameter("x = { log = [0, 1] }"), P + "x.log = [0, 1]", "lies above 0"),
    "two domains": (parameter("x = { int = [1, 2], choice = [1] }"), P + "x: has choice and int", "Keep one"),
    "no domain": (parameter('x = { each = "blocks" }'), P + "x", "Give one of choice, int, float, log"),
    "empty choice": (parameter("x = { choice = [] }"), P + "x.choice = []: is empty", ""),
    "option twice": (parameter("x = { choice = [1, 2, 1.0] }"), P + "x.choice", "names 1.0 twice"),
    "unknown key": (parameter("x = { chioce = [1] }"), P + "x.chioce = [1]: no such key", '"choice"?'),
    "bad name": (parameter('"a-b" = [1, 2]'), P + "a-b = [1, 2]", "letters, digits and _"),
    "keyword": (parameter("not = [1, 2]"), P + "not = [1, 2]", "Rename it"),
    "otherwise alone": (parameter("x = { choice = [1, 2], otherwise = 1 }"), P + "x.otherwise = 1", "without when"),
    "ordered range": (parameter("x = { int = [1, 2], ordered = true }"), P + "x.ordered = true", "for choice"),
    "each of nothing": (parameter('x = { choice = [1, 2], each = "block" }'), P + "x.each", '"blocks"?'),
    "each of no count": (
        parameter('y = ["a", "b"]\nx = { choice = [1, 2], each = "y" }'),
        'study.toml:6: space.params.x.each = "y": y is no count',
        "whole number",
    ),
    "when's syntax": (parameter('x = { choice = [1, 2], when = "blocks >" }'), P + "x.when", "is no expression"),
    "when's name": (parameter('x = { choice = [1, 2], when = "block > 3" }'), P + "x.when", '"blocks"?'),
    "when of itself": (parameter('x = { choice = [1, 2], when = "x > 3" }'), P + "x.when", "asks x itself"),
    "code": (parameter('x = { choice = [1, 2], when = "__import__(1)" }'), P + "x.when", "not part of the language"),
    "role": (
        parameter('x = { choice = [1, 2], role = "training" }'),
        P + "x.role",
        'must be "architecture" or "recipe"',
    ),
    "unknown setting": (parameter('lrr = { log = [1e-4, 1e-2], role = "recipe" }'), P + "lrr", '"lr"?'),
    "no setting to search": (
        parameter('steps = { int = [1, 2], role = "recipe" }'),
        P + "steps",
        "that can be searched",
    ),
    "setting's value": (parameter('momentum = { float = [0, 2], role = "recipe" }'), P + "momentum", "below 1"),
    "setting's type": (parameter('flip = { choice = [0, 1], role = "recipe" }'), P + "flip", "true or false"),
    "recipe per block": (
        parameter('lr = { log = [1e-4, 1e-2], role = "recipe", each = "blocks" }'),
        P + "lr.each",
        "one value",
    ),
    "searched and fixed": (
        parameter('lr = { log = [1e-4, 1e-2], role = "recipe" }') + "[train]\nlr = 0.01\n",
        "study.toml:13: train.lr = 0.01: is searched by space.params.lr",
        "Remove one",
    ),
    "constraint's name": (constrained('"block > 3"'), 'study.toml:3: space.constraints = "block > 3"', '"blocks"?'),
    "constraint's line": (
        CUSTOM + 'constraints = [\n"blocks > 3",\n"blocks >> 3",\n]\n[space.params]\nblocks = [3, 8]\n' + BUILD + BASE,
        'study.toml:5: space.constraints = "blocks >> 3"',
        "not part of the language",
    ),
    "constraint no text": (constrained("3"), "study.toml:3: space.constraints = 3", "in quotes"),
    "custom without parameters": (CUSTOM + BUILD + BASE, "study.toml:1: space.params", "Add some"),
    "custom without model": (
        CUSTOM + "[space.params]\nx = [1, 2]\n" + BASE,
        'study.toml:2: space.kind = "custom"',
        "[evaluation] run",
    ),
    "preset of custom": (
        CUSTOM + 'preset = "small"\n[space.params]\nx = [1, 2]\n' + BUILD + BASE,
        'study.toml:3: space.preset = "small"',
        "no presets",
    ),
    "preset of mlp": ('[space]\npreset = "small"\n' + BASE, 'study.toml:2: space.preset = "small"', "no presets"),
    "preset": ('[space]\nkind = "cnn"\npreset = "tiny"\n' + BASE, 'study.toml:3: space.preset = "tiny"', "small"),
    "constraints of mlp": (
        '[space]\nconstraints = ["layers > 2"]\n' + BASE,
        'study.toml:2: space.constraints = ["layers > 2"]',
        "takes none",
    ),
    "model and evaluation": (
        BUILD + '[evaluation]\nrun = "cam.evaluate:run"\n' + BASE,
        "study.toml:1: model: [evaluation] run builds",
        "Remove one",
    ),
    "frozen at random": ('[model]\nfreeze = ["stem.*"]\n' + BASE, "study.toml:2: model.freeze", "Give init"),
    "no function": ('[model]\nbuild = "cam"\n' + BASE, 'study.toml:2: model.build = "cam"', "package.module:function"),
    "text without lm": ('[data]\nuse = "text"\n' + BASE, 'study.toml:2: data.use = "text"', 'Write task = "lm"'),
    "lm without text": ('[train]\ntask = "lm"\n' + BASE, 'study.toml:2: train.task = "lm"', 'use = "text"'),
    "context": ("[data]\ncontext = 64\n" + BASE, "study.toml:2: data.context = 64", "is for texts"),
    "share of the text": (
        '[data]\nuse = "text"\ntest = 0.1\n[train]\ntask = "lm"\n' + BASE,
        "study.toml:3: data.test = 0.1",
        "90 to 5 to 5",
    ),
    "two data": (
        '[data]\nuse = "digits"\nfiles = "x"\n' + BASE,
        "study.toml:1: data: give one of use, load and files",
        "not use and files",
    ),
    "optimiser": ('[train]\noptimiser = "adam"\n' + BASE, 'study.toml:2: train.optimiser = "adam"', '"adamw" or "sgd"'),
    "smoothing": (
        '[data]\nfiles = "x"\n[train]\ntask = "regression"\nmixup = 0.2\n' + BASE,
        "study.toml:5: train.mixup = 0.2",
        "not for regression",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_gets_one_sentence_with_its_line_and_remedy(study, case):
    """People mend what they can find: file, line, key, value, remedy."""
    text, start, contains = REFUSED[case]
    assert_refused(study(text), start, contains)


def test_searched_settings_go_to_training_and_the_rest_to_the_model(study):
    """A network must not see the learning rate, and training must not fall back to the file's."""
    momentum = 'momentum = { float = [0, 0.9], role = "recipe", when = "blocks > 4" }\n'
    spec = load(study(KITCHEN + momentum + BUILD + BASE))
    genes = {"blocks": 3, "width": 64, "kernel": [3, 5, 3], "groups": 1, "lr": 0.002, "momentum": None}
    architecture = Architecture.of("custom", genes)

    assert searched(spec) == {"lr", "momentum"}
    assert model_genes(architecture, spec) == {"blocks": 3, "width": 64, "kernel": (3, 5, 3), "groups": 1}
    assert (train_spec(architecture, spec).lr, train_spec(architecture, spec).momentum) == (0.002, 0.9)


def test_a_study_without_searched_settings_trains_as_its_file_says(study):
    """The recipe is one and the same for all networks then."""
    spec = load(study("[train]\nlr = 0.01\n" + BASE))

    assert train_spec(Architecture.of("mlp", {"layers": 2}), spec) == spec.train
