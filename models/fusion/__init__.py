"""The fusion of full-size pixels: the door to the compiled kernel, and its slow twin in plain torch."""
