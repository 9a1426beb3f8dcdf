"""Vision transformers of other formats, and how they become ViViTs."""
