"""The compiled fusion kernel; `models.fusion.kernel` is the only way in."""
