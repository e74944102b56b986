"""Every artifact store obeys the port's laws: a folder, fsspec, and the controller's endpoint in front of a folder."""

import hashlib
import os
import secrets
import threading

import pytest

from nasd.artifacts import open_archive, open_store
from nasd.artifacts.directory import DirectoryStore
from nasd.artifacts.endpoint import ArtifactEndpoint
from nasd.artifacts.eviction import evict
from nasd.errors import ArtifactCorrupt, ArtifactMissing, ArtifactsAway, ArtifactsFull, SettingsError

MIB = 1 << 20
TOKEN = "a-device's-own"


@pytest.fixture(params=["folder", "file URL", "fsspec", "endpoint"])
def store(request, tmp_path):
    """A store with room for one MiB, whatever it is made of."""
    home = tmp_path / "home"
    if request.param == "folder":
        yield open_store(None, home, quota_bytes=MIB)
    elif request.param == "file URL":
        yield open_store(f"file://{tmp_path}/a%20folder", home, quota_bytes=MIB)
    elif request.param == "fsspec":
        yield open_store(f"memory://artifacts-{secrets.token_hex(4)}", home, quota_bytes=MIB)
    else:
        endpoint = ArtifactEndpoint(open_archive(None, home, quota_bytes=MIB), lambda token: token == TOKEN)
        yield open_store(f"http://127.0.0.1:{endpoint.port}", tmp_path / "other", TOKEN)
        endpoint.close()


@pytest.fixture
def file(tmp_path):
    """Writes a file and returns its path."""

    def write(content, name="model.onnx"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def test_what_was_put_comes_back_under_its_hash(store, file, tmp_path):
    """The hash is the only name, the same on every machine."""
    content = os.urandom(300_000)

    sha256, n_bytes = store.put(file(content))
    store.get(sha256, tmp_path / "back" / "model")

    assert (sha256, n_bytes) == (hashlib.sha256(content).hexdigest(), 300_000)
    assert (tmp_path / "back" / "model").read_bytes() == content


def test_putting_twice_is_putting_once(store, file, tmp_path):
    """A retry of an export on another worker makes the same bytes."""
    path = file(b"weights")

    assert store.put(path) == store.put(path)
    store.get(store.put(path)[0], tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"weights"


def test_an_empty_file_is_a_file(store, file, tmp_path):
    sha256, n_bytes = store.put(file(b""))
    store.get(sha256, tmp_path / "back")
    assert (n_bytes, (tmp_path / "back").read_bytes()) == (0, b"")


@pytest.mark.parametrize("name", ["0" * 64, "../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_what_is_not_there_is_missing_whatever_it_is_called(store, tmp_path, name):
    """No name reaches out of the store, and nothing is left where the file should have been."""
    with pytest.raises(ArtifactMissing):
        store.get(name, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_the_quota_refuses_with_a_remedy_and_counts_each_file_once(store, file):
    """A full disk of the controller would take the database with it."""
    store.put(file(os.urandom(700_000), "a"))

    with pytest.raises(ArtifactsFull, match="NASD_ARTIFACTS_QUOTA_MIB"):
        store.put(file(os.urandom(700_000), "b"))
    store.put(file((file(b"").parent / "a").read_bytes(), "c"))


def test_a_store_of_several_writers_loses_nothing(store, file, tmp_path):
    """Exports of several workers arrive at once, some of them the same."""
    paths = [file(secrets.token_bytes(1000 + n % 7) if n % 2 else b"same", f"f{n}") for n in range(12)]
    names: list[str] = []
    threads = [threading.Thread(target=lambda path=path: names.append(store.put(path)[0])) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(names)) == 7
    for name in names:
        store.get(name, tmp_path / "back")
        assert hashlib.sha256((tmp_path / "back").read_bytes()).hexdigest() == name


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 20_000])
def test_a_damaged_file_is_never_handed_out(tmp_path, file, damage):
    """A latency measured on half a network would be a number like any other."""
    archive = DirectoryStore(tmp_path / "artifacts", quota_bytes=MIB)
    sha256, _ = archive.put(file(os.urandom(20_000)))
    (tmp_path / "artifacts" / sha256[:2] / sha256).write_bytes(damage)
    (tmp_path / "back").write_bytes(b"before")

    with pytest.raises(ArtifactCorrupt, match="damaged"):
        archive.get(sha256, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"before"
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_that_cannot_be_written_is_away(tmp_path, file):
    """The worker tries again, and says why."""
    (tmp_path / "artifacts").write_text("a file stands where the folder should be")
    with pytest.raises(ArtifactsAway):
        DirectoryStore(tmp_path / "artifacts", quota_bytes=MIB).put(file(b"weights"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("artifacts", "is no URL"),
        ("nonsense://x/y", "nonsense"),
        ("file://elsewhere/folder", "absolute path of this machine"),
        ("https://user:secret@host", "NASD_ARTIFACTS_TOKEN"),
        ("https://host?token=secret", "NASD_ARTIFACTS_TOKEN"),
        ("http://[::1", "is no address"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_at_the_start(tmp_path, url, said):
    """And its secrets are not in the sentence."""
    with pytest.raises(SettingsError, match=said) as refused:
        open_store(url, tmp_path)
    assert "secret" not in str(refused.value)


def test_eviction_takes_the_oldest_that_nobody_needs(tmp_path, file):
    """Fronts and leases keep what they need however old it is; what was just put may not have its row yet."""
    archive = open_archive(f"file://{tmp_path}/artifacts", tmp_path)
    names = []
    for n in range(6):
        sha256, _ = archive.put(file(os.urandom(1000), f"f{n}"))
        os.utime(tmp_path / "artifacts" / sha256[:2] / sha256, (1000.0 + n, 1000.0 + n))
        names.append(sha256)

    evicted = evict(archive, keep={names[0], names[2]}, down_to_bytes=3500, older_than=1005.0)

    assert [one.sha256 for one in evicted] == [names[1], names[3], names[4]]
    assert archive.total_bytes() == 3000
    assert [one.sha256 for one in evict(archive, keep=set(), down_to_bytes=0, older_than=1005.0)] == [
        names[0],
        names[2],
    ]


def test_a_file_that_is_put_again_is_young_again(tmp_path, file):
    """An eviction between the put and the row would leave a row without a file."""
    archive = DirectoryStore(tmp_path / "artifacts", quota_bytes=MIB)
    path = file(b"weights")
    sha256, _ = archive.put(path)
    os.utime(tmp_path / "artifacts" / sha256[:2] / sha256, (1000.0, 1000.0))

    archive.put(path)

    assert evict(archive, keep=set(), down_to_bytes=0, older_than=2000.0) == ()


def test_half_written_files_are_swept_after_a_day(tmp_path, file):
    archive = DirectoryStore(tmp_path / "artifacts", quota_bytes=MIB)
    sha256, _ = archive.put(file(b"weights"))
    folder = tmp_path / "artifacts" / sha256[:2]
    for name, at in ((".old.part", 1000.0), (".new.part", 100_000.0)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (at, at))

    archive.sweep(now=100_010.0)

    assert sorted(path.name for path in folder.iterdir()) == [".new.part", sha256]
