"""Which functions of the user's a study calls, and how one is had or refused."""

import sys
from dataclasses import replace

import pytest
from users_scene import LOAD, METRIC, MODEL, RUN, spec_of

from nasd.config import Settings, WorkerSettings, with_users_code
from nasd.domain.measurement import Stage
from nasd.errors import FunctionError, SettingsError
from nasd.usercode import (
    controller_functions_of,
    controller_packages_of,
    functions_of,
    load_function,
    packages_of,
    plain_genes,
)


@pytest.mark.parametrize(
    ("dotted", "reason", "words"),
    [
        ("user_nowhere.models:build", "function_missing", "no module user_nowhere here. Install it, or start"),
        ("user_functions.models:build", "function_missing", "no module user_functions.models"),
        ("user_functions:build", "function_missing", "user_functions has no build. Correct the name"),
        ("user_functions:ctypes", "function_missing", "ctypes is a module, not a function"),
        ("user_broken:build", "import_error", "raised RuntimeError: half of it is missing (user_broken.py:3). Mend"),
        ("forbidden:build", "not_allowed", "nasd worker --allow forbidden"),
    ],
)
def test_what_can_not_be_had_says_why_and_what_to_do(dotted, reason, words):
    """A worker stores the reason, a person reads the sentence."""
    with pytest.raises(FunctionError) as caught:
        load_function(dotted, what="model.build", allow={"user_nowhere", "user_functions", "user_broken"})

    assert caught.value.reason == reason
    assert str(caught.value).startswith(f'model.build = "{dotted}": ')
    assert words in str(caught.value)


def test_a_module_that_lacks_one_of_its_own_imports_is_not_itself_missing(tmp_path, monkeypatch):
    """That there is no such module is the wrong thing to read for somebody who looks at it."""
    (tmp_path / "needs_more.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(FunctionError, match="Install not_installed_anywhere here") as caught:
        load_function("needs_more:build", what="model.build", allow=None)

    assert caught.value.reason == "import_error"


def test_a_module_that_is_mended_can_be_had_without_a_restart(tmp_path, monkeypatch):
    """Workers live long, and files are younger than they."""
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(FunctionError):
        load_function("written_later:build", what="model.build", allow=None)

    (tmp_path / "written_later.py").write_text("def build():\n    return 7\n")

    assert load_function("written_later:build", what="model.build", allow=None)() == 7
    del sys.modules["written_later"]


def test_what_a_module_raises_is_told_with_the_users_own_line(tmp_path, monkeypatch):
    """The sentence is all that `nasd plan` shows; a traceback of importlib's frames would say less."""
    (tmp_path / "raises_here.py").write_text("import json\n\njson.loads('{')\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(FunctionError, match=r"\(raises_here\.py:3\)\. Mend the module"):
        load_function("raises_here:f", what="model.build", allow=None)


def test_each_stage_knows_the_functions_that_it_calls():
    """Whose fault an exception is depends on it."""
    spec = replace(spec_of("s", METRIC, "a.metrics:f1"), data=spec_of("s", LOAD, "b.data:load").data)

    assert functions_of(spec, Stage.TRAIN) == {
        "data.load": "b.data:load",
        "model.build": "user_models:build",
        "train.metric": "a.metrics:f1",
    }
    assert functions_of(spec, Stage.MEASURE) == {"model.build": "user_models:build"}
    assert packages_of(spec) == ("a", "b", "user_models")
    assert packages_of(spec_of("s", RUN, "c:run")) == ("c",)  # its [model] is never called
    assert packages_of(spec_of("s", MODEL, "d.e:build")) == ("d",)


def test_genes_are_plain_and_the_callers_own():
    """What a user's function does to them stays with it."""
    genes = {"widths": (1, (2, None)), "norm": "none"}

    assert plain_genes(genes) == {"widths": [1, [2, None]], "norm": "none"}


def test_options_go_before_the_environment_and_name_packages(tmp_path):
    """A dotted name would look as if it allowed less than its whole package."""
    settings = Settings(worker=WorkerSettings(allow=("a",), drain_s=3.0))

    assert with_users_code(settings, allow=["b"], folder=None).worker.allow == ("b",)
    kept = with_users_code(settings, allow=[], folder=tmp_path).worker
    assert (kept.allow, kept.folder, kept.drain_s) == (("a",), tmp_path, 3.0)
    for options in ({"allow": ["b.c"], "folder": None}, {"allow": [], "folder": tmp_path / "none"}):
        with pytest.raises(SettingsError, match=r"--allow b\.c|--folder"):
            with_users_code(settings, **options)


def test_costs_are_the_controllers_and_no_worker_needs_their_package():
    """A worker would otherwise be offered nothing of a study that it could do."""
    spec = spec_of("a", RUN, "user_functions:nothing")
    spec = replace(spec, evaluation=replace(spec.evaluation, costs="user_costs:good"))

    assert controller_functions_of(spec) == {"evaluation.costs": "user_costs:good"}
    assert (controller_packages_of(spec), packages_of(spec)) == (("user_costs",), ("user_functions",))
    assert controller_packages_of(spec_of("a", MODEL, "user_models:build")) == ()


def test_a_controllers_packages_are_its_own(tmp_path):
    """What workers are trusted with does not run beside the database's password by accident."""
    settings = with_users_code(Settings(), allow=("cam",), folder=tmp_path, of="controller")

    assert (settings.controller.allow, settings.controller.folder) == (("cam",), tmp_path)
    assert (settings.worker.allow, settings.worker.folder) == ((), None)
