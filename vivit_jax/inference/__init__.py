"""What a trained model says: scores on a split, predictions for files, explanations."""
