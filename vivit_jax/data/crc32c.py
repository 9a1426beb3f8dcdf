"""CRC-32C, the checksum of TFRecord files. Byte after byte it takes seconds, so NumPy takes blocks side by side.

The checksum is linear over bits: that of two blocks is the first's, carried over as many zeros as the second has bytes, xor the second's.
"""

import functools

import numpy as np
from jaxtyping import UInt32

POLYNOMIAL = 0x82F63B78  # Castagnoli's, its lowest power first
BLOCK = 1024  # bytes
MASK = 0xA282EAD8  # TFRecord adds it to the checksum, turned by 15 bits


def masked_crc32c(content: bytes) -> int:
    """The checksum as TFRecord stores it."""
    value = crc32c(content)
    return ((value >> 15 | value << 17) + MASK) & 0xFFFFFFFF


def crc32c(content: bytes) -> int:
    """The checksum of some bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    size = max(len(content), 4)
    padded = np.zeros(-(-size // BLOCK) * BLOCK, np.uint8)
    padded[len(padded) - len(content) :] = np.frombuffer(content, np.uint8)
    if len(content) < 4:
        return ~_carried(np.array([0xFFFFFFFF], np.uint32), content)[0].item() & 0xFFFFFFFF
    padded[len(padded) - len(content) :][:4] ^= 0xFF  # which is to begin with ones in place of zeros
    blocks = _carried(np.zeros(len(padded) // BLOCK, np.uint32), padded.reshape(-1, BLOCK).T)
    tables, value = _over_a_block(), 0
    for block in blocks.tolist():
        value = tables[0][value & 255] ^ tables[1][value >> 8 & 255] ^ tables[2][value >> 16 & 255] ^ tables[3][value >> 24] ^ block
    return ~value & 0xFFFFFFFF


def _carried(values: UInt32[np.ndarray, " n"], columns: object) -> UInt32[np.ndarray, " n"]:
    """Carries n registers over bytes: over one each, or the same, at a time."""
    table = _table()
    for column in columns:
        values = table[(values ^ column) & 255] ^ values >> 8
    return values


@functools.cache
def _table() -> UInt32[np.ndarray, " 256"]:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, values >> 1 ^ np.uint32(POLYNOMIAL), values >> 1)
    return values


@functools.cache
def _over_a_block() -> list[list[int]]:
    """What a register becomes over a block of zeros, for each value of each of its four bytes."""
    values = np.arange(256, dtype=np.uint32) << np.arange(0, 32, 8, dtype=np.uint32)[:, None]
    return _carried(values.reshape(-1), bytes(BLOCK)).reshape(4, 256).tolist()
