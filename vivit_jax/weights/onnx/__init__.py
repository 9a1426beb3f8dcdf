"""A model as an ONNX graph: its jaxpr, one primitive after another, in ONNX's operators."""
