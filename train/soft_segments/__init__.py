"""Semantic Soft Segmentation, the method of Table 1 that is not trained: layers of a photograph by their meaning."""
