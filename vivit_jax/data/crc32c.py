"""CRC-32C, the checksum of TFRecord files, by NumPy: a loop over bytes takes about twenty times as long.

The remainder is linear over bits. So a message is cut into pieces of equal length, all of which advance together, byte by byte. Then
neighbours are joined: the remainder of the first, moved past as many zeros as the second has bytes, plus that of the second.
"""

import functools

import numpy as np

POLYNOMIAL = 0x82F63B78  # Castagnoli's, its lowest bit first
ALL_ONES = 0xFFFFFFFF
BEGIN = bytes.fromhex("54641f64")  # its remainder is all ones, which a message's remainder begins from
LONGEST_PIECE = 10  # its bytes as a power of two
MASK = 0xA282EAD8


def masked_crc32c(content: bytes) -> int:
    """The checksum of `content` as TFRecord stores it: turned, and moved, since a checksum of data that hold their own says little."""
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + MASK) & ALL_ONES


def crc32c(content: bytes) -> int:
    """The CRC-32C of `content`.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    size = len(BEGIN) + len(content)
    steps = min((size.bit_length() + 1) // 2, LONGEST_PIECE)
    joints = ((size - 1) >> steps).bit_length()
    message = np.zeros(1 << (joints + steps), np.uint8)  # zeros before a message leave its remainder
    message[-size:] = np.frombuffer(BEGIN + content, np.uint8)
    remainders = np.zeros(1 << joints, np.uint32)
    for column in np.ascontiguousarray(message.reshape(-1, 1 << steps).T):
        remainders = _of_bytes()[(remainders ^ column) & 0xFF] ^ (remainders >> 8)
    for past in range(steps, steps + joints):
        remainders = _moved(remainders[::2], _move(past)) ^ remainders[1::2]
    return int(remainders[0]) ^ ALL_ONES


@functools.cache
def _of_bytes() -> np.ndarray:
    """The remainder of each byte, uint32 (256,)."""
    remainders = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        remainders = np.where(remainders & 1, np.uint32(POLYNOMIAL), np.uint32(0)) ^ (remainders >> 1)
    return remainders


@functools.cache
def _move(steps: int) -> np.ndarray:
    """Where each of the 32 bits of a remainder goes when 2**steps bytes of zeros follow, uint32 (32,)."""
    if steps:
        half = _move(steps - 1)
        return _moved(half, half)
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    return _of_bytes()[bits & 0xFF] ^ (bits >> 8)


def _moved(remainders: np.ndarray, move: np.ndarray) -> np.ndarray:
    """Remainders, uint32 (n,), moved by a `_move`."""
    moved = np.zeros_like(remainders)
    for bit, goes in enumerate(move):
        moved ^= np.where(remainders >> bit & 1, goes, np.uint32(0))
    return moved
