"""The grid that every stage shares, in pixels."""

CELL = 16  # the side of a cell: one target token, one reference token
KEEP_BELOW = 24  # grey levels: a pixel that an edit changes by less keeps the source's value
BUCKETS = (  # (height, width) at which the shipped checkpoint runs
    (128, 128),
    (96, 160),
    (160, 96),
)
