"""What a model costs: parameters, arithmetic, memory and time."""
