"""The Glance and Focus Matting network in small parts: encoders, the two decoders, and their fusion."""
