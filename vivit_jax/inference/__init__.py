"""The uses of a trained model: scores on a split, predictions and features of videos, explanations.

- Splits of a data set: a `split_pass` says which model sees which videos and how. `evaluate` scores it (`label_spaces` matches the
  classes), `scores`, `prediction_tables` and `submissions` write what came out.
- Video files: `views` decodes them, `outputs` computes them, `over_views` averages, and `predict` ranks. `windows` scores along a
  video, `smoothing` averages over time, `video_scores` takes many videos, `rows` and `row_files/` write them, `timeline` draws them.
- Features: `features`, or `tokens` for attentive heads. `probe` makes a model of a frozen backbone (`backbones`) and heads
  (`fitted_heads`).
- Explanations: `relevance` attributes a score to tokens, `explain` chooses the clip and the score, `overlay` draws the heat.
"""
