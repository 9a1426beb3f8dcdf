"""Decodes VP8 and VP9 with transparency by libvpx: FFmpeg's own decoders, which are otherwise used, leave the transparency out."""

from collections.abc import Callable, Sequence

import av

from vivit_jax.data.video.container import Limits

# The decoder that reads the transparency which Matroska and WebM keep beside each picture.
BY_LIBVPX = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def decoding(stream: av.VideoStream, limits: Limits) -> Callable[[av.Packet], Sequence[av.VideoFrame]]:
    """The function that decodes a packet of a stream. Packets are given in order, up to the empty one at the end."""
    name = BY_LIBVPX.get(stream.codec_context.name) if stream.metadata.get("alpha_mode") == "1" else None
    if name not in av.codecs_available:
        return av.Packet.decode
    decoder = av.CodecContext.create(name, "r")
    decoder.options = {"max_pixels": str(limits.pixels)}
    decoder.thread_count = 1
    return lambda packet: decoder.decode(packet if packet.size else None)
