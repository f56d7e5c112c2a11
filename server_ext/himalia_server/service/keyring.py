"""Keys that project secrets are encrypted with: a file of the site (0600), never in the database.

AES-256-GCM. A sealed value is one byte of format, the key's id, a fresh nonce, and the ciphertext with its tag. What it
belongs to is authenticated with it, so that no row can be put in the place of another.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .site import write_private

FILE = "secrets.key"
FORMAT = b"\x01"
ID_BYTES, KEY_BYTES, NONCE_BYTES, TAG_BYTES = 8, 32, 12, 16
OVERHEAD = len(FORMAT) + ID_BYTES + NONCE_BYTES + TAG_BYTES
"""Bytes that a sealed value has beyond its text."""


class KeyringError(RuntimeError):
    """The file of keys cannot be used; the text says what to do."""


class Unsealable(RuntimeError):
    """A sealed value cannot be opened: its key is gone, or it was changed or moved."""


@dataclass(frozen=True)
class Keyring:
    """Keys by id (hex), the one in use first. Older ones are there while a rotation has not ended."""

    keys: dict[str, bytes]

    @classmethod
    def read(cls, path: Path) -> Keyring:
        """The keys in *path*; none when the file is not there.

        Raises:
            KeyringError: it is open to others, or holds something else.
        """
        try:
            with path.open(encoding="utf-8") as file:
                status = os.fstat(file.fileno())
                text = file.read()
        except FileNotFoundError:
            return cls({})
        except (OSError, UnicodeDecodeError) as error:
            raise KeyringError(f"{path} cannot be read: {error}.") from error
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise KeyringError(f"{path} is open to other accounts, so it is not used. Run: chmod 600 {path}")
        try:
            entries = [
                (str(key["id"]), base64.b64decode(key["key"], validate=True)) for key in json.loads(text)["keys"]
            ]
            fine = all(len(bytes.fromhex(name)) == ID_BYTES and len(key) == KEY_BYTES for name, key in entries)
        except (ValueError, KeyError, TypeError):
            fine = False
        if not fine:
            raise KeyringError(f"{path} holds no keys. Move it aside, and put the file of a backup in its place.")
        return cls(dict(entries))

    def write(self, path: Path) -> None:
        """Replace the file *path*, on the disk before this returns."""
        entries = [{"id": name, "key": base64.b64encode(key).decode()} for name, key in self.keys.items()]
        write_private(path, json.dumps({"keys": entries}, indent=1))
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def with_new(self) -> Keyring:
        """With a fresh key in use, and those that there are behind it."""
        return Keyring({secrets.token_bytes(ID_BYTES).hex(): AESGCM.generate_key(KEY_BYTES * 8)} | self.keys)

    def newest(self) -> Keyring:
        """Only the key in use."""
        return Keyring(dict(list(self.keys.items())[:1]))

    def merged(self, other: Keyring) -> Keyring:
        """All keys of both; the one in use here stays so."""
        return Keyring(self.keys | {name: key for name, key in other.keys.items() if name not in self.keys})

    def seal(self, text: str, *belongs: str) -> bytes:
        """Encrypt *text*, bound to what it *belongs* to."""
        name, key = next(iter(self.keys.items()))
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, text.encode(), _bound(belongs))
        return FORMAT + bytes.fromhex(name) + nonce + sealed

    def open(self, sealed: bytes, *belongs: str) -> str:
        """The text that was sealed with the same *belongs*.

        Raises:
            Unsealable: its key is not here, or it was changed or moved.
        """
        key = self.keys.get(key_of(sealed))
        if key is None:
            raise Unsealable("its key is not in this site's key file")
        start = len(FORMAT) + ID_BYTES
        nonce, rest = sealed[start : start + NONCE_BYTES], sealed[start + NONCE_BYTES :]
        try:
            return AESGCM(key).decrypt(nonce, rest, _bound(belongs)).decode()
        except (InvalidTag, ValueError) as error:
            raise Unsealable("it was changed, or moved from another place") from error

    def uses_newest(self, sealed: bytes) -> bool:
        """Whether a value was sealed with the key in use."""
        return key_of(sealed) == next(iter(self.keys), None)


def key_of(sealed: bytes) -> str:
    """The id of the key that a value was sealed with; empty for another format."""
    return sealed[1 : 1 + ID_BYTES].hex() if sealed[:1] == FORMAT else ""


def _bound(belongs: tuple[str, ...]) -> bytes:
    """Unambiguous: no two lists of texts give the same bytes."""
    return json.dumps(["himalia-secret", *belongs]).encode()
