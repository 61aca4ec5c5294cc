"""What each decoder of GFM is asked for."""
