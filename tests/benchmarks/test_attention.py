"""From what length on FlashAttention-3 is said to be faster, and how a row that failed is shown."""

import attention


def row(way, tokens, both):
    return {"part": "alone", "way": way, "count": 2, "tokens": tokens, "forward": both / 3, "both": both}


def test_it_is_faster_from_the_length_after_the_last_at_which_it_is_slower():
    rows = [row("cudnn", tokens, 1.0) for tokens in (196, 197, 512, 1024, 3137)]
    rows += [row("fa3", tokens, both) for tokens, both in ((196, 0.9), (197, 0.8), (512, 1.1), (1024, 0.7), (3137, 0.6))]
    assert "FlashAttention-3 is faster than cudnn both ways from 1024 tokens on, of those measured." in attention.tables(
        rows, ["cudnn", "fa3"]
    )
    slower = [*rows[:5], *(row("fa3", tokens, 2.0) for tokens in (196, 3137))]
    assert not [line for line in attention.tables(slower, ["cudnn", "fa3"]) if line.startswith("FlashAttention-3")]


def test_a_part_that_failed_leaves_the_others():
    rows = [row("cudnn", 197, 1.2), {"part": "alone", "way": "fa3", "error": "more than 120 s"}]
    lines = attention.tables(rows, ["cudnn", "fa3"])
    assert "| 2 x 197 | 0.40, 1.20 |  |" in lines
    assert "failed: alone fa3 : more than 120 s" in lines[-1]
