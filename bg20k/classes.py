"""The COCO classes by what they are to a background: its subject when small, its subject when large, or scenery."""

from __future__ import annotations

from typing import Final

CREATURES: Final = frozenset(
    {"person", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"}
)
"""People and animals, the foregrounds of matting; they count fully from `creature_area` on."""

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
"""Things that are a subject when they are large in the frame; they count fully from `object_area` on."""

SCENERY: Final = frozenset(
    {"traffic light", "fire hydrant", "stop sign", "parking meter", "bench"}  # streets
    | {"chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv"}  # rooms
    | {"microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock"}
)
"""What never counts, because the paper's set includes interiors and streets; every other class does, as an object."""
