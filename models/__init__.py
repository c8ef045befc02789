"""The method: student network, implicit 3D LUT, fusion kernel, metrics, training."""
