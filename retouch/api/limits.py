"""Limits of a request. The table of fields states which field has which."""

MAX_IMAGE_BYTES = 50 * 1024 * 1024  # of a file, after base64 is decoded
MAX_PIXELS = 64_000_000  # of a decoded image
MIN_SIDE = 16  # pixels
MAX_SIDE = 16384  # pixels
MAX_ASPECT = 4.0  # the longer side by the shorter
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP")  # Pillow's names

REGIONS = ("auto", "full", "find")  # values of REGION; anything else is a mask
ON_UNKNOWN = ("refuse", "warn", "try")  # what an instruction leads to that is not understood
BACKGROUNDS = ("auto", "opaque", "transparent")

MAX_INSTRUCTION = 2000  # characters
MAX_SEED = 2**63 - 1
MAX_STEPS = 50
MAX_REGION_CACHE = 10  # steps
MAX_GUIDANCE = 10.0
MAX_PREVIEWS = 8
MAX_REFERENCES = 10  # images beside the source image; most families take fewer
MAX_REFERENCE_BYTES = 200 * 1024 * 1024  # of their files together, as they are sent
MAX_DEADLINE_MS = 2**31 - 1
LOWEST_PRIORITY = 2  # the queues of the endpoints have two levels
