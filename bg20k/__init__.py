"""BG-20k curation: from the bytes of a crawl to a verdict on every photograph (section 4.1 of the paper).

Pure functions: no Ray, no torch at import, no file layout, no printing. README.md has a map of the files and shows how
to add a measure and a verdict.
"""
