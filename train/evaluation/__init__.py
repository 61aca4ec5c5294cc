"""Networks judged on photographs: inference and metrics."""
