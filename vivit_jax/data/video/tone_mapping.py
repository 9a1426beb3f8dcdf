"""Converts high dynamic range to standard range by FFmpeg's scaler. Without it, videos recorded in HLG or PQ look washed out."""

import functools
import threading

import av
import numpy as np
from av.filter import Graph

PQ, HLG = 16, 18  # FFmpeg's numbers of SMPTE 2084 and ARIB STD-B67
TO_STANDARD = "out_transfer=bt709:out_primaries=bt709:out_color_matrix=bt709:intent=perceptual"


def is_high_dynamic_range(frame: av.VideoFrame) -> bool:
    """Whether a frame's brightness is coded by PQ or HLG."""
    return frame.color_trc in (PQ, HLG)


def to_standard_range(frame: av.VideoFrame) -> np.ndarray:
    """A frame in PQ or HLG as RGB in BT.709, uint8 (h, w, 3)."""
    key = (frame.width, frame.height, frame.format.name, frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range)
    return _tone_mapper(*key).map(frame)


class _ToneMapper:
    """A filter graph for frames of one kind. FFmpeg computes its table at the first frame, which takes seconds; the others are quick."""

    def __init__(self, width: int, height: int, pixels: str) -> None:
        self._graph, self._lock, self._count = Graph(), threading.Lock(), 0
        source = self._graph.add("buffer", f"video_size={width}x{height}:pix_fmt={pixels}:time_base=1/25")
        scale, rgb, sink = self._graph.add("scale", TO_STANDARD), self._graph.add("format", "rgb24"), self._graph.add("buffersink")
        source.link_to(scale)
        scale.link_to(rgb)
        rgb.link_to(sink)
        self._graph.configure()

    def map(self, frame: av.VideoFrame) -> np.ndarray:
        with self._lock:
            time, frame.pts = frame.pts, self._count
            self._count += 1
            self._graph.push(frame)
            frame.pts = time
            return self._graph.pull().to_ndarray()


@functools.lru_cache(maxsize=4)
def _tone_mapper(width: int, height: int, pixels: str, *_: int) -> _ToneMapper:
    return _ToneMapper(width, height, pixels)
