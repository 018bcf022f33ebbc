"""Localized collateral forgetting: models, unlearners and metrics.

Shapes, stated once: images ``(n, channels, height, width)``, labels ``(n,)``, logits ``(n, classes)``,
features ``(n, width)``. Where several seeds are stacked, they are the first axis.
"""
