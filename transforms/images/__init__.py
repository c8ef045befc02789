"""Pictures to and from bytes, one module a format. Knows neither Beam nor storage."""
