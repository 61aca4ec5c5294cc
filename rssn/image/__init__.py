"""Between the bytes of a picture and its array."""
