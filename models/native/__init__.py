"""The compiled fusion kernel; `models.fusion` is the only way in."""
