"""What a model costs: parameters, arithmetic, memory, time."""
