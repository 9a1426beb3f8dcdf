"""Files that are nearly right: mutations of real ones, and how many to try."""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("VIVIT_FUZZ", "0"))
EXTREMES = (b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\x01", b"\xff" * 8, b"../", b"\n")


def examples(count: int) -> settings:
    """The same `count` inputs on each run; VIVIT_FUZZ=N tries N times as many, other ones each time."""
    return settings(
        max_examples=count * max(TIMES, 1),
        derandomize=not TIMES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "write", "insert", "delete", "repeat", "cut"]),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(EXTREMES) | st.binary(min_size=1, max_size=16),
        st.integers(1, 64),
    ),
    min_size=1,
    max_size=6,
)


def mutated(content: bytes, changes: list[tuple[str, float, bytes, int]]) -> bytes:
    """The content after each change: its kind, the place as a part of the length, new bytes, and how many old ones it concerns."""
    for kind, place, new, length in changes:
        at = int(place * len(content))
        before, after = content[:at], content[at:]
        match kind:
            case "flip":
                content = before + bytes(byte ^ 1 << length % 8 for byte in after[:1]) + after[1:]
            case "write":
                content = before + new + after[len(new) :]
            case "insert":
                content = before + new + after
            case "delete":
                content = before + after[length:]
            case "repeat":
                content = before + after[:length] * 3 + after[length:]
            case "cut":
                content = before
    return content
