"""Several runs beside each other, on the same videos."""
