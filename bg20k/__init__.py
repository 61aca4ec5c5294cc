"""BG-20k curation: from the bytes of a crawl to a verdict on every photograph (section 4.1 of the paper).

Floor 2 of the house: pure functions, no Ray, no torch at import, no file layout, no printing. `candidates` judges one
photograph at a time, `salience` screens it with a detector, `decide` judges the whole crawl from light records
(`duplicates`, salience, `split`), `rules` holds every threshold and `verdict` the words.
"""
