"""The commands `sign` and `verify`: a signature made, and a folder compared with its manifest and its signature."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from safe_load.cli import terminal
from safe_load.cli.show import Page
from safe_load.core.atomic_files import replace_file
from safe_load.core.errors import NotLoadable, UsageError
from safe_load.core.escape import visible
from safe_load.core.installed import need
from safe_load.export.manifest import NAME as MANIFEST
from safe_load.render.story import plural

if TYPE_CHECKING:
    from safe_load.attest.trust import Signer

EXTRA = "safe-load[signing]"


@dataclass(frozen=True)
class Asked:
    """What `verify` shall check besides the manifest. key: PEM; signer: a name of the trust file; trust: that file;
    signature: where the signature is."""

    key: str | None = None
    signer: str | None = None
    trust: str | None = None
    signature: str | None = None
    attestation: str | None = None

    def signers(self) -> list[Signer]:
        """Whose signature is asked for: none where nobody's is. Raises UsageError."""
        if self.key is not None and (self.signer is not None or self.trust is not None):
            raise UsageError("--key names who must have signed; leave --signer and --trust out")
        if self.key is None and self.signer is None and self.trust is None:
            for name, given in (("signature", self.signature), ("attestation", self.attestation)):
                if given is not None:
                    raise UsageError(f"--{name}: name who must have signed, by --key or --signer")
            return []
        need("cryptography", EXTRA)
        from safe_load.attest import trust  # noqa: PLC0415 - needs the extra

        if self.key is not None:
            return [trust.Signer(visible(self.key), "key", key=Path(self.key))]
        from safe_load.cli import settings  # noqa: PLC0415

        file = Path(self.trust) if self.trust else None
        if file is None:
            resolved = settings.resolve({}, environ=os.environ, folder=Path.cwd())
            for warning in resolved.warnings:
                terminal.warn(warning)
            file = resolved.options.trust
        if file is None:
            raise UsageError(
                "--signer is a name of the trust file; name that file by --trust or SAFE_LOAD_TRUST"
            )
        signers = trust.read(file)
        return [trust.named(signers, self.signer, file)] if self.signer else list(signers)


def verify(folder: Path, asked: Asked, *, quiet: bool, color: bool | None) -> int:
    """Check a folder against its manifest, its signature or both. Returns 0, or 1 when something differs.

    Raises:
        NotLoadable: There is no manifest, and no signature is asked for.
        UsageError: A key, a trust file or the folder itself is not there or does not read.
    """
    signers = asked.signers()
    told: list[str] = []
    problems: list[str] = []
    if not signers or (folder / MANIFEST).is_file():
        told, problems = _manifest(folder)
    if signers and asked.attestation:
        from safe_load.cli import attesting  # noqa: PLC0415

        more, wrong = attesting.check(folder, Path(asked.attestation), signers)
        told, problems = told + more, problems + wrong
    if signers and (asked.signature or not asked.attestation):
        more, wrong = _signature(
            folder, Path(asked.signature) if asked.signature else None, signers
        )
        told, problems = told + more, problems + wrong
    page = Page(color)
    if problems:
        page.line(f"✗ {folder}: {plural(len(problems), 'problem')}", "bold red")
        page.table([(Text("·"), problem) for problem in problems])
        terminal.write(page.data())
        return 1
    if not quiet:
        page.line(f"✓ {folder}: {told[0]}", "bold green")
        for line in told[1:]:
            page.line(f"  {line}")
        terminal.write(page.data())
    return 0


def _manifest(folder: Path) -> tuple[list[str], list[str]]:
    """What is so, and what is not."""
    from safe_load.attest import files_beside  # noqa: PLC0415
    from safe_load.export.verify import verify as check  # noqa: PLC0415

    result = check(folder, beside=files_beside.NAMES)
    told = [
        f"{plural(len(result.manifest.files), 'file')} as the manifest says",
        "The manifest proves that the files are unchanged. It does not prove who made the folder.",
    ]
    return told, [*result.problems, *files_beside.problems(folder)]


def _signature(
    folder: Path, signature: Path | None, signers: list[Signer]
) -> tuple[list[str], list[str]]:
    from safe_load.attest import envelope, folders, model_signing, trust  # noqa: PLC0415
    from safe_load.attest.problems import Unknown, Unreadable, Wrong  # noqa: PLC0415

    place = signature or folders.signature_of(folder)
    stock = folders.contents(folder)
    if not place.is_file():
        return [], [f"it is not signed: there is no {visible(str(place))}"]
    try:
        bundle = envelope.read_file(place)
        who = trust.check(bundle, signers)
        covered = model_signing.read(bundle)
    except OSError as error:
        raise UsageError(f"the signature {place} cannot be read: {error.strerror}") from error
    except (Unreadable, Unknown, Wrong) as error:
        return [], [str(error)]
    found = folders.digests(stock, place)
    wrong = folders.sentences(folders.compare(found, covered.files), place.name)
    return [f"{plural(len(found), 'file')} as signed by {who}"], wrong


def sign(folder: Path, key: Path, output: Path | None, *, color: bool | None) -> int:
    """Write the signature of a folder or a file. Returns 0, or 1 for a cleared copy that was changed.

    Raises:
        NotLoadable: The folder holds a special file, or a link that leads out of it.
        UsageError: The key does not read, there is no folder, or the signature cannot be written.
    """
    need("cryptography", EXTRA)
    from safe_load.attest import folders, keys, model_signing  # noqa: PLC0415 - need the extra

    signer = keys.private(key)
    page = Page(color)
    if (folder / MANIFEST).is_file() and (wrong := _manifest(folder)[1]):
        page.line(f"✗ {folder} is not signed: it is not what was exported", "bold red")
        page.table([(Text("·"), problem) for problem in wrong])
        terminal.write(page.data())
        return 1
    place = output or folders.signature_of(folder)
    stock = folders.contents(folder)
    found = folders.digests(stock, place)
    if not found:
        raise NotLoadable(f"{visible(str(folder))} holds no file to sign")
    top = folder.resolve()
    ignored = set(folders.LEFT_OUT)
    if place.resolve().is_relative_to(top):
        ignored.add(place.resolve().relative_to(top).as_posix())
    links = any((folder / path).is_symlink() for path in found)
    payload = model_signing.statement(top.name, found, ignored, links=links)
    try:
        replace_file(place, keys.sign(payload, signer), mode=0o666)
    except OSError as error:
        raise UsageError(f"the signature {place} cannot be written: {error.strerror}") from error
    page.line(f"✓ {place}: {plural(len(found), 'file')} signed", "bold green")
    page.line(
        f"  by the key {keys.hint(signer.public_key())[:12]}; whoever checks needs its public half."
    )
    terminal.write(page.data())
    return 0
