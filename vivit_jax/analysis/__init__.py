"""What a model costs (parameters, arithmetic, memory, time), and the statistics that compare scores."""
