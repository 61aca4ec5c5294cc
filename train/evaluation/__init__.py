"""Networks evaluated on photographs."""
