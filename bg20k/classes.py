"""The COCO classes that can be a subject; all others never count."""

from __future__ import annotations

from typing import Final

CREATURES: Final = frozenset(
    {"person", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"}
)
"""People and animals, the foregrounds of matting; they count from `creature_area` on."""

OBJECTS: Final = frozenset(
    {"bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"}  # vehicles
    | {"backpack", "umbrella", "handbag", "tie", "suitcase"}  # carried
    | {"frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove"}  # sport
    | {"skateboard", "surfboard", "tennis racket"}
    | {"bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl"}  # on a table
    | {"banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake"}
    | {"laptop", "mouse", "remote", "keyboard", "cell phone"}  # held
    | {"scissors", "teddy bear", "hair drier", "toothbrush", "vase"}
)
"""Things that are a subject when they are large in the frame; they count from `object_area` on.

The other COCO classes are scenery of streets and rooms (traffic light, bench, chair, couch, bed, potted plant,
refrigerator, book, clock, ...) and never count: the paper's set includes interiors and streets.
"""
