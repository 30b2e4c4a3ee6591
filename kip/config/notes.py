"""Remarks about settings that are used nevertheless."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was mended, accepted with a remark, or left out.

    `key` is the setting (`NODE_SELECTOR`) or a place in it (`IMAGES[3]`, counted from 1), `value` what was
    given (shortened where long), `message` what was found, without a final stop, `remedy` a sentence that
    says what to write instead, or empty. `refused`: the entry was left out; the others stay in use.
    """

    key: str
    value: str
    message: str
    remedy: str
    refused: bool

    def __str__(self) -> str:
        value = f"={self.value!r}" if self.value else ""
        return f"{self.key}{value}: {self.message}. {self.remedy}".rstrip()
