"""What training writes beside its weights: TensorBoard's events and other records, and wandb's log.

Zone: worker. All of it is numbers and texts that are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.formats.checksums import masked_crc32c
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.refusal import RefusedError, bomb

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File, Reading

MAX_RECORDS = 2_000_000


class Records(Format):
    """TFRecord: a length, its checksum, the record, and the record's checksum. TensorBoard's event files are
    such records."""

    name, called, loader = "tfrecord", "records of TensorFlow or TensorBoard", "tensorboard"

    def recognise(self, file: File) -> bool:
        """By the checksum of the first length."""
        head = file.head
        return len(head) >= 16 and masked_crc32c(head[:8]) == int.from_bytes(head[8:12], "little")

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data, if it is records up to its end. A run that was killed leaves the last one unfinished."""
        cursor = Cursor(file)
        for _ in range(MAX_RECORDS):
            if cursor.done:
                return Content(self.name, "data", "records whose lengths all fit", loads=False)
            head = cursor.take(12)
            if masked_crc32c(head[:8]) != int.from_bytes(head[8:], "little"):
                raise RefusedError(f"there is no record at byte {cursor.position - 12}")
            cursor.skip(int.from_bytes(head[:8], "little") + 4)
        raise bomb(f"it holds more than {MAX_RECORDS} records")


class Wandb(Format):
    """A run's log: LevelDB's log of blocks of 32 KiB behind a header of seven bytes (wandb's datastore.py)."""

    name, called, loader = "wandb", "a log of wandb", "wandb sync"

    def recognise(self, file: File) -> bool:
        """By its magic."""
        return file.head.startswith(b":W&B\xe1\xbe\0")

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data, if it is blocks of records up to its end."""
        cursor = Cursor(file, 7)
        while not cursor.done:
            left = 0x8000 - cursor.position % 0x8000
            if left < 7:
                if cursor.take(min(left, cursor.end - cursor.position)).strip(b"\0"):
                    raise RefusedError(f"other data lies before byte {cursor.position}")
                continue
            cursor.skip(4)
            length, kind = cursor.number(2), cursor.number(1)
            if not 1 <= kind <= 4 or length + 7 > left:
                raise RefusedError(f"there is no record before byte {cursor.position}")
            cursor.skip(length)
        return Content(self.name, "data", "a log of records that all fit", loads=False)
