"""Every crossing between parameters and files: other formats in, our model directory in and out."""
