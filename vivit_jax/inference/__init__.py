"""What a trained model says: scores on a split, predictions and features of videos, explanations."""
