"""Mistakes that only the files and functions of a study show: one sentence with the file and the line, at once."""

import sys
from pathlib import Path

import numpy as np
import pytest

from nasd.app.prepared import prepare
from nasd.errors import StudyFileError

END = "[objectives]\nval_error = {}\n[budget]\ntrials = 4\n"


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a study of these tables beside a data set of `n` samples, and gives its path."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text: str, *, n: int = 60) -> Path:
        np.savez(tmp_path / "a.npz", x=np.eye(n, 5, dtype=np.float32), y=np.arange(n) % 2)
        path = tmp_path / "s.toml"
        path.write_text(text + END)
        return path

    return write


def test_weights_that_are_no_safetensors_file_are_refused_before_a_study_begins(written):
    """Each worker would refuse the file, trial after trial; `nasd plan` ended in a traceback."""
    path = written('[data]\nfiles = "a.npz"\n[model]\ninit = "a.npz"\n')

    with pytest.raises(StudyFileError, match=r's\.toml:4: model\.init = "a\.npz": is not a safetensors file'):
        prepare(path)


def test_a_load_function_that_ends_its_process_is_told_with_its_line(written, tmp_path):
    """Nothing answers then, and the file is still where the mistake is to be mended."""
    (tmp_path / "ends_its_process.py").write_text("import os\ndef load():\n    os._exit(4)\n")
    path = written('[data]\nload = "ends_its_process:load"\n')

    with pytest.raises(StudyFileError, match=r's\.toml:2: data\.load = "ends_its_process:load": .*exit status 4'):
        prepare(path)


@pytest.mark.parametrize(
    ("table", "n", "sentence"),
    [
        ("[train]\nbatch = 1\n", 60, r"s\.toml:4: train\.batch = 1: batchnorm needs two samples"),
        ("", 3, r"s\.toml:1: data: the training split has one sample, and batchnorm needs two"),
    ],
)
def test_batches_of_one_sample_are_refused_where_networks_may_have_batchnorm(written, table, n, sentence):
    """Torch can't train it on one sample: half of the trials failed with an internal error and were refunded."""
    path = written('[data]\nfiles = "a.npz"\n' + table, n=n)

    with pytest.raises(StudyFileError, match=sentence):
        prepare(path)


def test_batches_of_one_sample_are_fine_without_batchnorm(written):
    """Nothing else needs two."""
    table = '[train]\nbatch = 1\n[space.params]\nnorm = ["none", "layernorm"]\n'

    assert prepare(written('[data]\nfiles = "a.npz"\n' + table)).spec.train.batch == 1
