"""X3D as a family: small networks of depthwise convolutions over time and space."""
