"""A measure-only worker in an environment without torch takes part in a study; its latencies against ONNX Runtime.

    python scripts/bench/measure_only.py [--trials 24] [--space cnn] [--folder FOLDER] [--keep]

Makes the environment (`pip install -e .[edge]`: onnxruntime, no torch), starts `nasd run` with one ordinary worker on a
study that measures on the kind "board", and a worker of that kind in the environment. Then every architecture is built,
exported and timed by hand: `torch.onnx.export`, `InferenceSession.run` in a loop, least of five windows' medians,
nothing of nasd's but the network itself. Shown: the two latencies of each, their rank correlation (Spearman) and the
median ratio. Asked for: the environment has no torch, every trial was measured in it, Spearman at least 0.95.
Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from nasd.app.endpoints import resolve
from nasd.config import read_settings

ROOT = Path(__file__).parents[2]
NASD = [sys.executable, "-m", "nasd"]
ASKED = 0.95
STUDY = """
name = "measure-only"
[data]
use = "digits"
[space]
kind = "{space}"
[train]
steps = 20
[measure]
on_missing_device = "wait"
[devices.board]
runtime = "onnxruntime"
[objectives]
val_error = {{}}
latency_ms = {{ on = ["board"] }}
[strategy]
use = "random"
[budget]
trials = {trials}
"""
N_WINDOWS, WINDOW_S, WARM_UP = 5, 0.1, 20


def main() -> int:
    """0 where what is asked for holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--space", default="cnn", choices=["mlp", "cnn", "transformer"])
    parser.add_argument("--folder", type=Path, help="for the environment and the study; default: a temporary one")
    parser.add_argument("--keep", action="store_true", help="leave it there")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="nasd-measure-only-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        python = environment(folder / "venv")
        trials = searched(python, folder, space=options.space, n=options.trials)
        return shown(trials, space=options.space)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def environment(folder: Path) -> Path:
    """The interpreter of a virtual environment with nasd[edge], made where it is not there yet."""
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        began = time.perf_counter()
        run([str(python), "-m", "pip", "install", "-q", "-e", f"{ROOT}[edge]"])
        print(f"installed nasd[edge] in {time.perf_counter() - began:.0f} s")
    found = run([str(python), "-c", "from importlib.util import find_spec; print(find_spec('torch'))"])
    if found.strip() != "None":
        raise SystemExit(f"{folder} has torch: {found}")
    return python


def searched(python: Path, folder: Path, *, space: str, n: int) -> list[dict[str, Any]]:
    """The study's trials, as `nasd trials --json` has them."""
    study = folder / "measure-only.toml"
    study.write_text(STUDY.format(space=space, trials=n))
    env = {**os.environ, "NASD_HOME": str(folder / "home")}
    with (folder / "run.log").open("w") as log, (folder / "board.log").open("w") as board_log:
        search = subprocess.Popen(
            [*NASD, "run", str(study), "--workers", "1"], stdout=log, stderr=log, cwd=folder, env=env
        )
        board: subprocess.Popen[bytes] | None = None
        try:
            while board is None and search.poll() is None:
                time.sleep(1)
                if "worker registered" in logs(folder):
                    board = subprocess.Popen(
                        [str(python), "-m", "workers", "--device-kind", "board"],
                        stdout=board_log, stderr=board_log, cwd=folder, env=board_environment(folder / "home"),
                    )  # fmt: skip
            if search.wait(timeout=3600) != 0:
                raise SystemExit(f"the search failed; see {folder}/run.log and run again with --keep --folder")
            return json.loads(run([*NASD, "trials", "measure-only", "--json"], env=env, cwd=folder))  # type: ignore[no-any-return]
        finally:
            for process in (board, search):
                if process is not None and process.poll() is None:
                    process.terminate()
                    process.wait(timeout=60)


def board_environment(home: Path) -> dict[str, str]:
    """Addresses of the search's services, with a home of its own; artifacts by the folder that both can read."""
    settings = read_settings().model_copy(update={"home": home})
    with resolve(settings, home) as endpoints:
        addresses = endpoints.environment("worker")
    own = {"NASD_HOME": str(home.parent / "board-home"), "NASD_ARTIFACTS_URL": f"file://{home}/artifacts"}
    return {**os.environ, **addresses, **own}


def logs(folder: Path) -> str:
    """What the run's workers have said so far."""
    return "".join(path.read_text(errors="replace") for path in (folder / "home").rglob("*.log"))


def run(command: Sequence[str], **more: Any) -> str:
    """Its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def shown(trials: list[dict[str, Any]], *, space: str) -> int:
    """Print both latencies; the exit status."""
    pairs = []
    for trial in trials:
        measured = trial["objectives"].get("latency_ms@board")
        if measured is None:
            print(f"trial {trial['trial']}: {trial['state']}, not measured")
            continue
        by_hand = latency_by_hand(trial["architecture"], space)
        pairs.append((measured["value"], by_hand))
        print(f"trial {trial['trial']:3}: board {measured['value']:.4f} ms, by hand {by_hand:.4f} ms", flush=True)
    correlation = float(spearmanr(*zip(*pairs, strict=True)).statistic)
    ratio = statistics.median(board / by_hand for board, by_hand in pairs)
    print(
        f"{len(pairs)} of {len(trials)} measured; Spearman {correlation:.3f} (asked {ASKED}); median ratio {ratio:.2f}"
    )
    return 0 if correlation >= ASKED and len(pairs) == len(trials) else 1


def latency_by_hand(genes: dict[str, Any], space: str) -> float:
    """Milliseconds of one call, batch 1, one thread."""
    import onnxruntime as ort
    import torch

    from nasd.domain.architecture import Architecture
    from nasd.domain.data import Problem
    from nasd.nets import build_module

    architecture = Architecture.from_value({"space": space, "genes": genes})
    module = build_module(architecture, problem=Problem(input_shape=(1, 8, 8), n_outputs=10), seed=0).eval()
    example = torch.zeros(1, 1, 8, 8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own internals
            torch.onnx.export(module, (example,), path, dynamo=True, verbose=False, external_data=False)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: np.random.default_rng(0).standard_normal((1, 1, 8, 8), dtype=np.float32)}
    for _ in range(WARM_UP):
        session.run(None, feed)
    return 1000 * min(_window(session, feed) for _ in range(N_WINDOWS))


def _window(session: Any, feed: dict[str, Any]) -> float:
    """The median of calls in 0.1 s, seconds."""
    calls: list[float] = []
    end = time.perf_counter() + WINDOW_S
    while (began := time.perf_counter()) < end:
        session.run(None, feed)
        calls.append(time.perf_counter() - began)
    return statistics.median(calls)


if __name__ == "__main__":
    sys.exit(main())
