"""Files and folders that are whole or not there, their checksums, and locks between processes.

Whatever a process writes for another one goes through this module. The content is flushed to the disk before the name
appears, so that a reader sees the old file or the new one, also after a kill or a power failure.

What a process will read back after a kill is sealed as well: its sha256 is written after it, so that a changed bit is
noticed. A file has its seal in a folder beside its own, and JSON within itself.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from simlm.errors import UserError
from simlm.progress import say

SEAL = "sha256"
"""The key under which sealed JSON holds its own checksum."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, and rename it to ``path`` when the block ends without an error.

    Makes the folder if need be. The temporary path ends like ``path``, because some writers look at the suffix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
        put_in_place(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk's error names none
        raise
    finally:
        temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Flush a finished temporary file or folder to the disk and rename it to ``path``, which is replaced."""
    flush(temporary)
    if path.is_dir():
        shutil.rmtree(path)
    temporary.replace(path)
    _flush(path.parent)


@contextmanager
def sealed_file(path: Path) -> Iterator[Path]:
    """Do what `atomic_file` does, then seal the file."""
    with atomic_file(path) as temporary:
        yield temporary
    seal(path)


def seal(path: Path) -> None:
    """Write a finished file's checksum, by which `intact` knows it."""
    write_atomically(_seal_of(path), digest(path).encode())


def intact(path: Path) -> bool:
    """Tell whether a sealed file is there and unchanged; one that has changed, or lost its seal, is removed.

    That is said in a line. No other process may look meanwhile.
    """
    if not path.exists():
        return False
    try:
        if _seal_of(path).read_text(encoding="ascii") == digest(path):
            return True
    except (OSError, ValueError):
        pass
    say(f"{path} is damaged or unfinished: it is made again")
    path.unlink()
    return False


def _seal_of(path: Path) -> Path:
    """Return where the seal of a file lies: not in its folder, which may become an output."""
    return path.parent.with_name(f"{path.parent.name}.seals") / path.name


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file's content as a whole."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: none of them is replaced before all are on the disk."""
    with ExitStack() as written:
        for path, content in contents.items():
            temporary = written.enter_context(atomic_file(path))
            temporary.write_bytes(content)
            _flush(temporary)


def write_json(path: Path, content: Any) -> None:
    """Write JSON as a whole, with sorted keys; what JSON does not know is written as its text."""
    write_atomically(path, as_json(content))


def as_json(content: Any) -> bytes:
    """Return what `write_json` writes."""
    return (json.dumps(content, indent=1, sort_keys=True, default=str) + "\n").encode()


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object of a file, or None when there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # the last from brackets without end
        return None
    return content if isinstance(content, dict) else None


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object as `write_json` does, with its own checksum."""
    read_back = json.loads(json.dumps(content, default=str))
    write_json(path, read_back | {SEAL: _digest_of(read_back)})


def read_sealed(path: Path) -> dict[str, Any] | None:
    """Return the JSON object that `write_sealed` wrote; None when there is none, or not as it was written."""
    content = read_json(path) or {}
    return content if content.pop(SEAL, None) == _digest_of(content) else None


def _digest_of(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def checksums(folder: Path) -> dict[str, dict[str, Any]]:
    """Return {relative path: {size, sha256}} of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": digest(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def misfit(folder: Path, known: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return what of a folder's `checksums` is not so any more; None when all are."""
    for name, entry in known.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != entry["size"] or digest(path) != entry["sha256"]:
            return f"{name} does not have its checksum any more"
    return None


def short_name(name: str, most: int = 220) -> str:
    """Return a name for a file: as it is or, where it has more bytes than ``most``, its beginning and a digest."""
    written = name.encode()
    if len(written) <= most:
        return name
    return f"{written[: most - 9].decode(errors='ignore')}-{hashlib.sha256(written).hexdigest()[:8]}"


def digest(path: Path) -> str:
    """Return the sha256 of a file's bytes in hexadecimal, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_folder(folder: Path, marker: str) -> Iterator[Path]:
    """Yield a temporary folder, and rename it to ``folder`` when the block ends without an error.

    A killed block leaves ``<folder>.partial``, which the next attempt removes. One writer at a time: the caller holds
    a lock.

    Args:
        folder: What is made. One that is there is replaced when it is empty or was made by an earlier build.
        marker: The name of the file that the block writes last. A folder that has it was made by an earlier build.

    Raises:
        UserError: ``folder`` holds something else, or cannot be written.
    """
    folder = folder.absolute()
    check_replaceable(folder, marker)
    partial = folder.with_name(folder.name + ".partial")
    _remove(partial)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot write {partial}: {error.strerror}; choose a folder that can be written") from None
    try:
        yield partial
        put_in_place(partial, folder)
    except BaseException:
        _remove(partial)
        raise


def check_replaceable(folder: Path, marker: str) -> None:
    """Raise UserError when ``atomic_folder`` would refuse to put something at ``folder``."""
    if folder.exists() and not (folder / marker).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and holds no {marker}: move it away or choose another folder")


def read_marker(folder: Path, marker: str, kind: str) -> dict[str, Any]:
    """Return the JSON object in ``folder/marker``; UserError when it does not say that the folder is a ``kind``."""
    try:
        meta = json.loads((folder / marker).read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"{folder} is no {kind}: it has no readable {marker}; build it again") from None
    except ValueError:
        raise UserError(f"{folder / marker} is no JSON: delete {folder} and build it again") from None
    if not isinstance(meta, dict) or meta.get("format") != kind:
        raise UserError(f"{folder / marker} does not describe a {kind}: delete {folder} and build it again")
    return meta


@contextmanager
def lock(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs. Processes that ask for it wait for each other.

    Args:
        path: The lock file, which is made where it is not there.
        waiting: Called once when another process holds the lock, before waiting for it.

    Raises:
        UserError: The file cannot be locked: it is a folder, or another user's.
    """
    held = FileLock(path)
    try:
        try:
            held.acquire(timeout=0)
        except Timeout:
            waiting()
            held.acquire()
    except OSError as error:
        raise UserError(f"{path} cannot be locked ({error.strerror}); remove it and run again") from None
    try:
        yield
    finally:
        held.release()


def flush(path: Path) -> None:
    """Return when the disk has all of a file, or of a folder, that was written, by whichever process."""
    for one in path.rglob("*") if path.is_dir() else ():
        if one.is_file() or one.is_dir():
            _flush(one)
    _flush(path)


def _flush(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot flush a folder
            raise
    finally:
        os.close(number)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
