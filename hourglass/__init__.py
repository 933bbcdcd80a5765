"""Stacked-hourglass 2D human pose: annotations → TFRecords → tf.data → network → poses.

Nothing is imported here, so that `import hourglass` is free; import the room you need, such as
`hourglass.inference.estimator` or `hourglass.scoring.pck`.
"""
