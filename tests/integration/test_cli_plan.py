"""`nasd plan`: what a study will take, with networks built and stepped for real."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("nasd")
NARROW = "[space.params]\nlayers = [2, 3]\nwidth = [128, 256]\n"
OBJECTIVES = "[objectives]\nval_error = {}\nlatency_ms = {}\n"


def plan(path, *options):
    """The program's answer; a plan that isn't one fails here."""
    done = subprocess.run([PROGRAM, "plan", path, *options], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """One plan as JSON, shared because it takes seconds."""
    path = tmp_path_factory.mktemp("plan") / "kitchen.toml"
    path.write_text(NARROW + OBJECTIVES + "[train]\nsteps = 50\n[budget]\ntrials = 20\n")
    return json.loads(plan(path, "--json", "--workers", "2"))


def test_the_space_is_counted_and_its_decisions_named(found):
    """2 or 3 layers of 2 widths each, 3 activations, 3 norms, 4 dropouts; three widths at most."""
    assert found["space_size"] == (2**2 + 2**3) * 36
    assert found["decisions"] == {"activation": 1, "dropout": 1, "layers": 1, "norm": 1, "widths": 3}


def test_smallest_largest_and_three_random_networks_are_timed(found):
    """Each with seconds for both stages; the smallest and the largest are the space's own."""
    names = [timing["name"] for timing in found["timings"]]
    params = [timing["params"] for timing in found["timings"]]

    assert names == ["smallest", "largest", "random 1", "random 2", "random 3"]
    assert params[0] == min(params) == 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10
    assert params[1] == max(params)
    assert all(timing["train_s"] > 0 and timing["measure_s"] > 0 for timing in found["timings"])


def test_the_time_is_a_range_around_the_likely(found):
    """Trials times seconds over workers, from the fastest to the slowest network."""
    wall, trials = found["wall_s"], found["trials"]
    seconds = [timing["train_s"] + timing["measure_s"] for timing in found["timings"]]

    assert trials == {"least": 20, "likely": 20, "most": 20}
    assert wall["least"] <= wall["likely"] <= wall["most"]
    assert wall["most"] == pytest.approx(20 * max(seconds) / 2)


def test_the_study_is_simulated_with_what_was_timed(found):
    """Longer than if all were the fastest, shorter than if all were the slowest and the fleet drained at the end."""
    seconds = [timing["train_s"] + timing["measure_s"] for timing in found["timings"]]

    assert found["foreseen"]["trials"] == 20
    assert min(seconds) * 8 < found["foreseen"]["wall_s"] < max(seconds) * 12
    assert found["expected"]["strategy"] in {None, "screened"}


def test_too_few_trials_are_warned_of_with_what_to_fix(found):
    """Seven decisions and 20 trials: below five each."""
    (warning,) = found["warnings"]

    assert "space.params.width" in warning
    assert "budget.trials = 35" in warning


def test_both_stages_are_named_with_what_they_give(found):
    """Cheap before dear."""
    assert [(stage["stage"], stage["gives"]) for stage in found["stages"]] == [
        ("measure", ["latency_ms"]),
        ("train", ["val_error"]),
    ]


def test_people_get_tables(tmp_path):
    """The same without --json; one worker, no limit on time."""
    path = tmp_path / "kitchen.toml"
    scalar = "[scalar]\nlatency_ms = { weight = 0.1, at = 1.0 }\n"
    path.write_text(NARROW + OBJECTIVES + scalar + '[budget]\ntime = "1m"\n')

    text = plan(path, "--workers", "1")

    assert "kitchen: 432 networks in the mlp space" in text
    assert "Searched by one figure of: val_error, latency_ms" in text
    assert "smallest" in text
    assert "Time: 60s with 1 worker" in text


def test_a_bad_option_of_the_space_has_its_line(tmp_path):
    """The space knows the options, the reader the line."""
    path = tmp_path / "kitchen.toml"
    path.write_text(OBJECTIVES + "[budget]\ntrials = 9\n[space.params]\nwidth = [3]\n")

    done = subprocess.run([PROGRAM, "plan", path], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {path}:7: space.params.width = [3]: 3 is no option")


def test_what_users_code_prints_is_not_part_of_the_plan(tmp_path):
    """A program reads this JSON, and a person the table; a trial's log keeps such output later."""
    (tmp_path / "prints_much.py").write_text(
        "from torch import nn\n"
        "def build(config, input_shape, output_shape):\n"
        "    print('noise' * 100)\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, config['x']), nn.Linear(config['x'], *output_shape))\n"
    )
    path = tmp_path / "kitchen.toml"
    path.write_text(
        'objectives.val_error = {}\nbudget.trials = 2\ntrain.steps = 5\nmodel.build = "prints_much:build"\n'
        'space = { kind = "custom", params = { x = { choice = [2, 4] } } }\n'
    )

    found = json.loads(plan(path, "--json"))

    assert len(found["timings"]) == 5
    assert (found["space_size"], found["is_size_exact"]) == (2, True)


def test_what_would_fill_the_memory_is_not_built(tmp_path):
    """The kernel would end the plan, or somebody else's process; the plan says how much is wanted instead."""
    path = tmp_path / "kitchen.toml"
    choices = {"layers": 32, "d_model": 2048, "mlp_ratio": 8, "n_experts": 8, "experts": "mixture", "sharing": "none"}
    narrowed = "".join(f"{name} = {json.dumps([only])}\n" for name, only in choices.items())
    path.write_text(
        f'[space]\nkind = "transformer"\n[space.params]\n{narrowed}'
        "[objectives]\nval_error = {}\nparams = {}\n[budget]\ntrials = 20\n"
    )

    said = plan(path)

    assert said.count("training needs about") == 5


def test_a_run_that_no_meter_here_could_ever_end_is_refused_before_anything_starts(tmp_path):
    """It would train everything and then wait for ever."""
    from nasd.profiling.meters import available

    if available() is not None:
        pytest.skip("this machine has an energy meter")
    path = tmp_path / "kitchen.toml"
    path.write_text(NARROW + "[objectives]\nval_error = {}\nenergy_mj = {}\n[budget]\ntrials = 3\n")

    done = subprocess.run([PROGRAM, "run", path], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: energy_mj on local: no energy meter can be read here")
    assert list(tmp_path.iterdir()) == [path]
