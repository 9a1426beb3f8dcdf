"""Fits heads to what frozen backbones give, in minutes on a CPU, each with one or two settings.

The settings are chosen by top-1 on examples that the head was not fitted to: those of a validation split, or of folds that keep groups
together. The loss alone would choose too strong a regularisation, as it punishes confidence more than mistakes.

- `examples` holds features with their labels, and divides them into folds; `settings` puts what was tried in order.
- `linear` is a logistic regression and `nearest` are nearest neighbours, both on features; `kinds` tries the settings of either.
- `attentive` trains attentive pooling on tokens.
"""
