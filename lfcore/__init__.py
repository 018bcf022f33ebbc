"""Localized collateral forgetting: models, unlearners and metrics.

Shapes, stated once: images ``(n, channels, height, width)``, labels ``(n,)``, logits ``(n, classes)``,
features ``(n, width)``. Where several seeds are stacked, they are the first axis.

``lfcore.audit(...)`` audits a model that any tool unlearned; it is imported when it is asked for.
"""


def __getattr__(name: str):
    if name == "audit":  # it needs torch, which nothing else should have to import
        from lfcore.auditing.audit import audit

        return audit
    raise AttributeError(f"module 'lfcore' has no attribute {name!r}")
