"""What goes in: matting pairs and backgrounds in folders, archives and tables."""
