"""Between arrays and the network: tensors, batches, augmentation, and what each task calls loss and error."""

from itertools import islice, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from sklearn.metrics import hamming_loss, log_loss, r2_score
from torch.nn import functional

from nasd.data import SearchSplit
from nasd.domain.data import Problem, Task
from nasd.domain.study import TrainSpec
from nasd.errors import UserError
from nasd.training.augment import Augmentation
from nasd.training.criterion import Criterion
from nasd.training.tensors import Batch, Tensors

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


def split(
    x: NDArray[np.generic], y: NDArray[np.generic], *, n_outputs: int, task: Task, vocabulary: int = 0
) -> SearchSplit:
    half = len(y) // 2
    return SearchSplit(
        name="toy",
        task=task,
        n_outputs=n_outputs,
        vocabulary=vocabulary,
        train_x=x[:half],  # type: ignore[arg-type]
        train_y=y[:half],  # type: ignore[arg-type]
        validation_x=x[half:],  # type: ignore[arg-type]
        validation_y=y[half:],  # type: ignore[arg-type]
        sha256={},
    )


def tensors(data: SearchSplit, *, batch: int = 8, channels_last: bool = False) -> Tensors:
    return Tensors.on(CPU, data, problem(data), batch=batch, channels_last=channels_last)


def problem(data: SearchSplit) -> Problem:
    return Problem(
        input_shape=data.train_x.shape[1:], n_outputs=data.n_outputs, task=data.task, vocabulary=data.vocabulary
    )


def images(n: int = 40) -> SearchSplit:
    x = RNG.normal(3, 2, (n, 2, 4, 5)).astype(np.float32)
    return split(x, RNG.integers(0, 3, n), n_outputs=3, task=Task.CLASSIFICATION)


@given(start=st.integers(0, 40), n=st.integers(4, 30), batch=st.integers(1, 40))
def test_batches_from_any_step_are_those_of_the_whole_training(start: int, n: int, batch: int) -> None:
    """A resumed training must see what it would have seen; nothing of the order is kept but the step."""
    x = np.arange(2 * n, dtype=np.float32)[:, None]
    data = tensors(split(x, np.arange(2 * n), n_outputs=2 * n, task=Task.CLASSIFICATION), batch=batch)
    whole = [b.y.tolist() for b in islice(data.batches(7, start=0), start + 3)]
    assert [b.y.tolist() for b in islice(data.batches(7, start=start), 3)] == whole[start:]


def test_an_epoch_has_every_sample_once() -> None:
    """Index batching is sampling without replacement."""
    data = tensors(images(), batch=5)
    assert data.batches_per_epoch == 4
    order = torch.cat([b.x.flatten(1)[:, 0] for b in islice(data.batches(1, start=0), 4)])
    assert sorted(order.tolist()) == sorted(data.train_x.at(torch.arange(20)).flatten(1)[:, 0].tolist())


def test_inputs_are_brought_to_the_training_inputs_mean_and_deviation() -> None:
    """Validation inputs with the training split's numbers: a search may know no others."""
    data = images()
    found = tensors(data)
    assert found.train_x.stored.mean().item() == pytest.approx(0, abs=1e-6)
    assert found.train_x.stored.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    wanted = (data.validation_x - data.train_x.mean(dtype=np.float64)) / data.train_x.std(dtype=np.float64)
    assert np.array_equal(found.validation_x.stored.numpy(), wanted.astype(np.float32))


def test_images_with_channels_inside_are_the_same_images() -> None:
    """The layout in memory is a matter of speed alone, and a batch has it without a copy of its own."""
    data = images()
    plain, inside = tensors(data), tensors(data, channels_last=True)
    for a, b in zip(islice(plain.batches(1, start=0), 3), islice(inside.batches(1, start=0), 3), strict=True):
        assert torch.equal(a.x, b.x)
        assert b.x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
@pytest.mark.parametrize("every", [1, 3, 6])
def test_windows_of_a_text_are_never_written_out(kind: type[np.generic], every: int) -> None:
    """Overlapping windows of a corpus would take `context` times its memory."""
    text = RNG.integers(0, 50, 200).astype(kind)
    x, y = (sliding_window_view(part, 6)[::every] for part in (text[:-1], text[1:]))
    data = split(x, y, n_outputs=50, task=Task.LM, vocabulary=50)
    found = tensors(data)
    for rows, array in ((found.train_x, data.train_x), (found.validation_y, data.validation_y)):
        assert rows.stored.untyped_storage().nbytes() <= text.nbytes
        assert torch.equal(torch.cat(list(rows.blocks(7))), torch.from_numpy(array.astype(np.int64)))
    batch = next(found.batches(1, start=0))
    assert batch.x.dtype == batch.y.dtype == torch.int64
    assert torch.equal(batch.x[:, 1:], batch.y[:, :-1])


def test_windows_that_do_not_overlap_in_memory_are_taken_as_they_are() -> None:
    """A user's own windows need not be cut from one array."""
    x = RNG.integers(0, 9, (12, 4))
    found = tensors(split(x, x.copy(), n_outputs=9, task=Task.LM, vocabulary=9))
    assert torch.equal(found.train_x.at(torch.arange(6)), torch.from_numpy(x[:6]))


def of_task(task: Task) -> tuple[Criterion, Tensors, torch.Tensor, torch.Tensor]:
    """(criterion, data, raw outputs for the validation split, its targets)."""
    n, k = 40, 3
    y = {
        Task.CLASSIFICATION: RNG.integers(0, k, n),
        Task.MULTILABEL: RNG.integers(0, 2, (n, k)).astype(np.float32),
        Task.REGRESSION: RNG.normal([5, -2, 100], [1, 2, 30], (n, k)).astype(np.float32),
    }[task]
    data = split(RNG.normal(size=(n, 4)).astype(np.float32), y, n_outputs=k, task=task)
    found = tensors(data)
    outputs = torch.from_numpy(RNG.normal(size=(n // 2, k)).astype(np.float32))
    return Criterion.of(problem(data), TrainSpec(), found), found, outputs, found.validation_y.stored


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.MULTILABEL, Task.REGRESSION])
def test_the_loss_is_the_mean_of_the_samples_losses(task: Task) -> None:
    """`train_loss` and `val_loss` speak of the same thing."""
    criterion, _, outputs, targets = of_task(task)
    losses, errors = criterion.by_sample(outputs, targets)
    assert losses.shape == errors.shape == (20,)
    assert criterion.loss(outputs, Batch(outputs, targets)).item() == pytest.approx(losses.mean().item(), rel=1e-5)


def test_losses_and_errors_are_scikit_learns() -> None:
    """The definitions are the field's own."""
    criterion, _, outputs, y = of_task(Task.CLASSIFICATION)
    losses, errors = criterion.by_sample(outputs, y)
    assert losses.mean().item() == pytest.approx(log_loss(y, outputs.double().softmax(1), labels=[0, 1, 2]), rel=1e-5)
    assert errors.mean().item() == np.mean(outputs.argmax(1).numpy() != y.numpy())
    criterion, _, outputs, y = of_task(Task.MULTILABEL)
    losses, errors = criterion.by_sample(outputs, y)
    each = [log_loss(y[:, i], outputs[:, i].double().sigmoid()) for i in range(3)]
    assert losses.mean().item() == pytest.approx(np.mean(each), rel=1e-5)
    assert errors.mean().item() == pytest.approx(hamming_loss(y, outputs > 0))
    criterion, data, outputs, y = of_task(Task.REGRESSION)
    _, errors = criterion.by_sample(outputs, y)
    own_unit = [each * data.target_scale + data.target_mean for each in (y, outputs)]
    assert errors.mean().item() == pytest.approx(1 - r2_score(*own_unit), rel=1e-4)


def test_regression_without_variance_to_explain_is_judged_by_the_training_targets() -> None:
    """No division by zero: one validation value for all says nothing of R^2."""
    y = np.concatenate([RNG.normal(size=(20, 1)), np.zeros((20, 1))]).astype(np.float32)
    data = split(RNG.normal(size=(40, 4)).astype(np.float32), y, n_outputs=1, task=Task.REGRESSION)
    found = tensors(data)
    targets = found.validation_y.stored
    losses, errors = Criterion.of(problem(data), TrainSpec(), found).by_sample(targets + 0.5, targets)
    assert torch.equal(losses, errors)


def test_a_language_models_loss_is_that_of_its_tokens() -> None:
    """Nats for a token, whatever the context."""
    criterion = Criterion(Task.LM, 7)
    outputs, y = torch.randn((4, 5, 7), generator=torch.Generator().manual_seed(0)), torch.arange(20).view(4, 5) % 7
    losses, errors = criterion.by_sample(outputs, y)
    wanted = functional.cross_entropy(outputs.reshape(20, 7), y.reshape(20))
    assert losses.mean().item() == pytest.approx(wanted.item(), rel=1e-6)
    assert criterion.loss(outputs, Batch(outputs, y)).item() == pytest.approx(wanted.item(), rel=1e-6)
    assert errors.mean().item() == pytest.approx((outputs.argmax(2) != y).double().mean().item())


def test_a_mixed_batchs_loss_is_that_of_mixed_targets() -> None:
    """Zhang et al. 2018, equation 1: the loss is linear in the targets."""
    outputs, y = torch.randn((6, 3), generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    partner = y.flip(0)
    soft = 0.3 * functional.one_hot(y, 3) + 0.7 * functional.one_hot(partner, 3)
    found = Criterion(Task.CLASSIFICATION, 3).loss(outputs, Batch(outputs, y, partner, torch.tensor(0.3)))
    assert found.item() == pytest.approx(functional.cross_entropy(outputs, soft).item(), rel=1e-6)


def augmented(recipe: TrainSpec, x: torch.Tensor, seed: int = 3) -> Batch:
    augmentation = Augmentation.of(recipe, Problem(input_shape=tuple(x.shape[1:]), n_outputs=3), seed=seed, device=CPU)
    assert augmentation is not None
    return augmentation(Batch(x, torch.arange(len(x))))


def test_a_flip_mirrors_about_half_of_the_samples() -> None:
    """Along the last dimension, and leaves the others alone."""
    x = torch.randn((200, 2, 3, 4), generator=torch.Generator().manual_seed(0))
    found = augmented(TrainSpec(flip=True), x).x
    mirrored = (found == x.flip(-1)).flatten(1).all(1)
    assert ((found == x).flatten(1).all(1) | mirrored).all()
    assert 70 <= int(mirrored.sum()) <= 130


@pytest.mark.parametrize("shape", [(2, 9), (2, 5, 6)])
def test_a_crop_shifts_each_sample_and_fills_with_zeros(shape: tuple[int, ...]) -> None:
    """Every result is one of the shifts by -2 to 2 that pencil and paper give, and all shifts occur."""
    x = torch.randn((150, *shape), generator=torch.Generator().manual_seed(0))
    found = augmented(TrainSpec(crop=2), x).x

    def shifted(offsets: tuple[int, ...]) -> torch.Tensor:
        padded = functional.pad(x, [2] * 2 * len(offsets))
        for dim, (offset, size) in enumerate(zip(offsets, shape[1:], strict=True), start=2):
            padded = padded.narrow(dim, 2 + offset, size)
        return padded

    options = product(range(-2, 3), repeat=len(shape) - 1)
    matches = torch.stack([(found == shifted(offsets)).flatten(1).all(1) for offsets in options])
    assert matches.any(0).all()
    assert matches.any(1).all()


def test_noise_has_the_deviation_asked_for() -> None:
    """In units of the inputs' own deviation, which is 1 here."""
    x = torch.zeros((200, 100))
    assert augmented(TrainSpec(noise=0.2), x).x.std().item() == pytest.approx(0.2, rel=0.02)


def test_mixup_mixes_inputs_as_it_mixes_targets() -> None:
    """Each input is its share of itself and the rest of its partner."""
    x = torch.randn((8, 5), generator=torch.Generator().manual_seed(0))
    batch = augmented(TrainSpec(mixup=0.4), x)
    assert batch.partner_y is not None
    assert torch.allclose(batch.x, batch.share * x + (1 - batch.share) * x[batch.partner_y])
    assert sorted(batch.partner_y.tolist()) == list(range(8))


ALL = TrainSpec(flip=True, crop=1, noise=0.1, mixup=0.2)


def test_augmentation_depends_on_its_seed_alone() -> None:
    """A stream of its own: whatever else is drawn must not move it."""
    x = torch.randn((8, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    first = augmented(ALL, x).x
    torch.rand(3)
    assert torch.equal(first, augmented(ALL, x).x)
    assert not torch.equal(first, augmented(ALL, x, seed=4).x)


def test_augmentation_keeps_the_layout_of_images() -> None:
    """Else the first convolution would turn every batch around again."""
    x = torch.randn((8, 4, 4, 3), generator=torch.Generator().manual_seed(0)).permute(0, 3, 1, 2)
    found = augmented(ALL, x).x
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, augmented(ALL, x.contiguous()).x)


@pytest.mark.parametrize(
    ("recipe", "inputs", "message"),
    [
        (TrainSpec(noise=0.1), Problem(input_shape=(8,), n_outputs=9, task=Task.LM, vocabulary=9), "train.noise = 0.1"),
        (TrainSpec(crop=1), Problem(input_shape=(8,), n_outputs=9), "train.crop = 1: is for signals and images"),
        (TrainSpec(flip=True), Problem(input_shape=(8,), n_outputs=9), "train.flip = True: is for signals and images"),
    ],
)
def test_augmentation_without_meaning_is_the_users_mistake(recipe: TrainSpec, inputs: Problem, message: str) -> None:
    """Ignoring it would be a result under a recipe that nobody asked for."""
    with pytest.raises(UserError, match=message):
        Augmentation.of(recipe, inputs, seed=0, device=CPU)
