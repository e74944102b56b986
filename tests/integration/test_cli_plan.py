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
    path.write_text(NARROW + OBJECTIVES + '[budget]\ntime = "1m"\n')

    text = plan(path, "--workers", "1")

    assert "kitchen: 432 networks in the mlp space" in text
    assert "smallest" in text
    assert "Time: 60s with 1 worker" in text


def test_a_bad_option_of_the_space_has_its_line(tmp_path):
    """The space knows the options, the reader the line."""
    path = tmp_path / "kitchen.toml"
    path.write_text(OBJECTIVES + "[budget]\ntrials = 9\n[space.params]\nwidth = [3]\n")

    done = subprocess.run([PROGRAM, "plan", path], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {path}:7: space.params.width = [3]: 3 is no option")
