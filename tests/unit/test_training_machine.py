"""What a training does about its machine: too little memory, checkpoints, compiling."""

import io
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nasd.domain.data import Task
from nasd.domain.study import TrainSpec
from nasd.errors import CandidateFault
from nasd.nets.runtime import candidate_memory
from nasd.training.checkpoint import Saver, pack, unpack
from nasd.training.compiling import UNTRIED, Compiling, Experience, Memory, pays
from nasd.training.criterion import Criterion
from nasd.training.gradients import Gradients
from nasd.training.optimiser import Optimiser
from nasd.training.tensors import Batch

CPU = torch.device("cpu")


class Tight(nn.Module):
    """A network whose machine has room for `room` samples."""

    def __init__(self, room: int, *, norm: bool = False) -> None:
        super().__init__()
        self.room, self.seen = room, list[int]()
        with torch.random.fork_rng():
            torch.random.default_generator.manual_seed(0)
            self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8) if norm else nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        if len(x) > self.room:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes.")
        return self.layers(x)


def gradients(network: nn.Module) -> Gradients:
    optimiser = Optimiser(TrainSpec(), network.named_parameters())
    return Gradients(network, Criterion(Task.CLASSIFICATION, 3), optimiser, CPU, bfloat16=False)


def batch(n: int = 12) -> Batch:
    x = torch.randn((n, 4), generator=torch.Generator().manual_seed(1))
    y = torch.arange(n) % 3
    return Batch(x, y, y.flip(0), torch.tensor(0.7))


def test_a_batch_that_does_not_fit_is_split_and_gives_the_same_gradients() -> None:
    """The budget of a candidate must not depend on the memory of the worker that got it."""
    wide, tight = Tight(12), Tight(3)
    whole, split = gradients(wide), gradients(tight)
    losses = [each.of(batch()).item() for each in (whole, split)]
    assert (whole.micro_batch(12), split.micro_batch(12)) == (12, 3)
    assert tight.seen == [12, 6, 3, 3, 3, 3]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for a, b in zip(wide.parameters(), tight.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-7)  # type: ignore[arg-type]
    tight.seen.clear()
    split.of(batch())
    assert tight.seen == [3, 3, 3, 3], "what is known not to fit is not tried again"


def test_a_redone_step_draws_the_same_random_numbers() -> None:
    """The failed attempt drew some; they must not count."""
    drawn: list[Tensor] = []

    class Drawing(Tight):
        def forward(self, x: Tensor) -> Tensor:
            drawn.append(torch.rand(2))
            return super().forward(x)

    with torch.random.fork_rng():
        gradients(Drawing(6)).of(batch())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[1], drawn[2])


@pytest.mark.parametrize(("norm", "least"), [(False, 1), (True, 2)])
def test_only_the_smallest_parts_that_work_are_too_large(*, norm: bool, least: int) -> None:
    """BatchNorm has no variance of one sample; the fault says how much was wanted."""
    network = Tight(0, norm=norm)
    message = r"wanted 4096 bytes beside \d+ in use of \d+"
    with pytest.raises(CandidateFault, match=message) as caught, candidate_memory("training"):
        gradients(network).of(batch(8))
    assert caught.value.kind == "out_of_memory"
    assert caught.value.violation is not None
    assert min(network.seen) == least


def test_another_error_is_not_taken_for_missing_memory() -> None:
    """Halving batches over a bug would hide it."""
    network = Tight(12)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        gradients(network).of(Batch(torch.ones(12, 5), torch.zeros(12, dtype=torch.int64)))
    assert network.seen == [12]


def test_what_a_module_adds_to_the_loss_is_minimised_and_not_reported() -> None:
    """A mixture's balance must be learned; `train_loss` stays comparable with `val_loss`."""

    class Pulling(Tight):
        def auxiliary_loss(self) -> Tensor:
            return 2 * self.layers[0].weight.sum()

    plain, pulled, split = Tight(12), Pulling(12), Pulling(4)
    losses = [gradients(network).of(batch()).item() for network in (plain, pulled, split)]
    assert losses[0] == losses[1] == pytest.approx(losses[2], rel=1e-6)
    for network in (pulled, split):
        added = network.layers[0].weight.grad - plain.layers[0].weight.grad  # type: ignore[operator]
        assert torch.allclose(added, torch.full_like(added, 2.0), atol=1e-6)


class Store:
    """A place in memory."""

    def __init__(self, content: bytes | None = None) -> None:
        self.content, self.n_saved = content, 0

    def load(self) -> bytes | None:
        return self.content

    def save(self, content: bytes) -> None:
        self.content, self.n_saved = content, self.n_saved + 1


def test_a_checkpoint_holds_tensors_numbers_and_lists() -> None:
    """What goes in comes out."""
    state = {"step": 3, "tensors": [torch.arange(3)], "curve": [[1, {"val_error": 0.5}]], "none": None}
    found = unpack(pack(state, identity="a"), identity="a")
    assert found is not None
    assert torch.equal(found.pop("tensors")[0], torch.arange(3))
    assert found == {"step": 3, "curve": [[1, {"val_error": 0.5}]], "none": None}


class Trap:
    """Runs code when it is read from a pickle."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemError('ran')",))


def trapped() -> bytes:
    file = io.BytesIO()
    torch.save({"format": 1, "identity": "mine", "state": Trap()}, file)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", pack({"step": 1}, identity="other"), pack({"step": 1}, identity="mine")[:-40], trapped()],
    ids=["empty", "nonsense", "of another training", "cut short", "with code in it"],
)
def test_a_checkpoint_that_is_not_this_trainings_is_passed_over(content: bytes) -> None:
    """The training begins anew; nothing that a file holds is run."""
    assert Saver(Store(content), identity="mine", every_s=0).load() is None


def test_a_short_training_leaves_no_checkpoint() -> None:
    """Most trainings of a search last seconds; writing them down would cost more than they do."""
    short, long = Store(), Store()
    for saver in (Saver(short, identity="a", every_s=60), Saver(long, identity="a", every_s=0)):
        saver.boundary(dict)
        saver.interrupted(dict)
    assert (short.n_saved, long.n_saved) == (0, 2)


def test_a_full_disk_does_not_end_a_training() -> None:
    """The checkpoint is a convenience."""

    class Full(Store):
        n_tried = 0

        def save(self, content: bytes) -> None:
            self.n_tried += 1
            raise OSError(28, "No space left on device")

    full = Full()
    saver = Saver(full, identity="a", every_s=0)
    saver.boundary(dict)
    saver.boundary(dict)
    assert full.n_tried == 2


KEPT = """
import resource
from pathlib import Path
import torch
from nasd.nets.allocator import memory_kept

def faults_of_steps():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(5 * 2**20, dtype=torch.float32)  # 20 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

torch.ones(1)
before = resident_pages()
with memory_kept():
    faults_of_steps()
    print(faults_of_steps() < 100, resident_pages() - before > 4000)
print(resident_pages() - before < 2000)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_kept_within_and_given_back_after() -> None:
    """The kernel clears every page that comes anew; blocks of a step must not come anew at every step.

    In a process of its own: what a heap can give back depends on what else lies in it.
    """
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=False)

    assert (done.stderr, done.stdout.split()) == ("", ["True"] * 3)


def test_compiling_pays_where_it_saves_more_than_it_takes() -> None:
    """40 s of compiling for steps that are a quarter faster: from 200 s of training on."""
    known = Experience(compile_s=40, speedup=1.25)
    assert not pays(known, step_s=0.1, steps_left=1990)
    assert pays(known, step_s=0.1, steps_left=2010)
    assert not pays(Experience(compile_s=0.1, speedup=0.9), step_s=1, steps_left=10**6)


def test_experience_is_remembered_by_device_and_survives_damage(tmp_path: Path) -> None:
    """A file that a power cut spoiled costs what was known, no training."""
    path = tmp_path / "deep" / "compile.json"
    memory = Memory(path)
    assert memory.recall("cpu") is None
    memory.remember("cpu", Experience(30, 1.1))
    memory.remember("gpu", Experience(20, 1.5))
    assert Memory(path).recall("cpu") == Experience(30, 1.1)
    assert [each.name for each in path.parent.iterdir()] == ["compile.json"]
    path.write_text('{"cpu": {"speedup": ')
    assert memory.recall("cpu") is None
    memory.remember("cpu", UNTRIED["cpu"])
    assert memory.recall("cpu") == UNTRIED["cpu"]


def test_experience_lies_where_the_user_wants_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`NASD_CACHE` is for a home that is full, shared or read-only: one file there must not go elsewhere."""
    monkeypatch.setenv("NASD_CACHE", str(tmp_path))
    Memory().remember("cpu", Experience(30, 1.1))
    assert Memory(tmp_path / "compile.json").recall("cpu") == Experience(30, 1.1)


def test_a_short_training_is_never_compiled(tmp_path: Path) -> None:
    """A compiler takes 20 to 50 seconds; the decision takes 25 steps and is made once."""
    module = nn.Linear(2, 2)
    compiling = Compiling(module, CPU, family="mlp", memory=Memory(tmp_path / "c.json"))
    steps = 0
    while not compiling.is_done:
        assert compiling.after_step(steps_left=1000) is module
        steps += 1
    assert steps == 25
    assert not compiling.is_compiled
