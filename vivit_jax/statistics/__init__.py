"""How certain a score is, and whether two differ: intervals, paired tests, agreement, calibration. Knows of arrays alone."""

LEVEL = 0.95  # of every interval: how often one holds the true score
