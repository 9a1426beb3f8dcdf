"""The uses of a trained model: scores on a split, predictions and features of videos, explanations."""
