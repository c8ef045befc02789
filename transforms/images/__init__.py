"""Image files: decoding, encoding and metadata, one module per format. Knows neither Beam nor storage."""
