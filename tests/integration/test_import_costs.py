"""What an import or a first evaluation really loads, seen from fresh processes."""

import subprocess
import sys


def test_spaces_are_importable_without_torch_sklearn_or_pymoo() -> None:
    """`nasd status` must answer in well under a second."""
    code = (
        "import sys, nasd.spaces, nasd.data; "
        "sys.exit(str([m for m in ('torch', 'sklearn', 'pymoo', 'scipy') if m in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_what_trains_never_loads_the_test_splits_module() -> None:
    """The import contract forbids it in the text; this sees what an import really pulls in."""
    code = (
        "import sys, nasd.training, nasd.profiling, nasd.data, nasd.spaces; "
        "sys.exit('loaded' if 'nasd.data.final' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_process_that_trains_and_measures_loads_no_compiler_and_no_sklearn() -> None:
    """Each costs every evaluating process seconds and 70 MiB at its start, and neither is used."""
    code = (
        "import sys, contextlib, torch; from nasd import data, spaces, training; "
        "from nasd.profiling.measure import measure; "
        "from nasd.domain.study import *; "
        "spec = StudySpec(name='t', objectives={'val_error': ObjectiveSpec()}, budget=BudgetSpec(trials=1)); "
        "facts = data.describe(spec.data); "
        "space = spaces.build(spec.space, facts.problem); "
        "a = spaces.baselines(space)[1][1]; "
        "training.train(a, spec, data.search_split(spec.data), seed=0, steps=2, at_step=lambda _: None); "
        "measure(a, spec, facts, seed=0, exclusive=contextlib.nullcontext); "
        "print([m for m in ('torch._dynamo', 'torch._inductor', 'sympy', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_exporting_needs_onnxruntime_for_its_own_format_alone() -> None:
    """Weights are written, and a missing package is told in a sentence, where `nasd[train]` is all there is."""
    code = (
        "import sys; import nasd.exporting.export; from nasd.exporting import build, load; "
        "print([m for m in ('onnxruntime', 'onnx', 'onnxscript') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
