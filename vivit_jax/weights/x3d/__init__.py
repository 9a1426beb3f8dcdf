"""X3Ds of pytorchvideo, read into our models, and ours written as pytorchvideo's."""
