"""Instructions for edits, in varied wording."""

KIND_WORDS = {
    "circle": ("circle", "circle", "disc"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "diamond": ("diamond", "diamond", "rhombus"),
}
SIZE_WORDS = {
    "small": ("small", "small", "tiny"),
    "medium": ("medium", "medium-sized"),
    "large": ("large", "large", "big"),
}
PLACE_WORDS = {
    "top left": ("top left", "upper left", "top left corner"),
    "top": ("top", "top center", "upper middle"),
    "top right": ("top right", "upper right", "top right corner"),
    "left": ("left", "left side", "middle left"),
    "center": ("center", "middle"),
    "right": ("right", "right side", "middle right"),
    "bottom left": ("bottom left", "lower left", "bottom left corner"),
    "bottom": ("bottom", "bottom center", "lower middle"),
    "bottom right": ("bottom right", "lower right", "bottom right corner"),
}
TEMPLATES = {
    "recolour": (
        "make {target} {colour}",
        "change {target} to {colour}",
        "turn {target} {colour}",
        "paint {target} {colour}",
        "recolor {target} to {colour}",
        "change the color of {target} to {colour}",
    ),
    "remove": (
        "remove {target}",
        "delete {target}",
        "erase {target}",
        "take {target} away",
        "get rid of {target}",
    ),
    "replace": (
        "replace {target} with a {kind}",
        "turn {target} into a {kind}",
        "change {target} into a {kind}",
        "swap {target} for a {kind}",
        "make {target} a {kind}",
    ),
    "add": (
        "add a {size} {colour} {kind} at the {place}",
        "put a {size} {colour} {kind} in the {place}",
        "draw a {size} {colour} {kind} at the {place}",
        "place a {size} {colour} {kind} at the {place}",
        "insert a {size} {colour} {kind} in the {place}",
    ),
    "move": (
        "move {target} to the {place}",
        "put {target} at the {place}",
        "shift {target} to the {place}",
        "drag {target} over to the {place}",
    ),
    "resize": (
        "make {target} {size}",
        "resize {target} to {size}",
        "change the size of {target} to {size}",
    ),
    "background": (
        "change the background to {colour}",
        "make the background {colour}",
        "paint the background {colour}",
        "turn the background {colour}",
        "use a {colour} background",
        "set the background color to {colour}",
    ),
}
JOINS = ("{} and {}", "{}, then {}", "{} and then {}", "{}, and {}", "first {}, then {}")
FRAMES = ("{}",) * 5 + ("please {}", "{} please", "can you {}?", "{}.", "i want you to {}")


def sentence(rng, scene, edits) -> str:
    """An instruction for `edits` of `scene`. Every name fits only one shape."""
    clauses = [_clause(rng, scene, edit) for edit in edits]
    text = (
        rng.choice(JOINS).format(*clauses)
        if len(clauses) == 2
        else rng.choice(FRAMES).format(clauses[0])
    )
    text = text.replace(" a orange", " an orange")
    return text[0].upper() + text[1:] if rng.random() < 0.3 else text


def _clause(rng, scene, edit) -> str:
    slots = {}
    if edit.target:
        slots["target"] = _refer(rng, scene, edit.target)
    if edit.result:
        slots |= {
            "colour": edit.result.colour,
            "kind": rng.choice(KIND_WORDS[edit.result.kind]),
            "size": rng.choice(SIZE_WORDS[edit.result.size]),
        }
    if edit.background:
        slots["colour"] = edit.background
    if edit.place:
        slots["place"] = rng.choice(PLACE_WORDS[edit.place])
    return rng.choice(TEMPLATES[edit.op]).format(**slots)


def _refer(rng, scene, target) -> str:
    """The name of a shape: colour and kind, sometimes with its size. Sometimes only the kind or the
    colour, if that is unique."""
    kind = rng.choice(KIND_WORDS[target.kind])
    forms = [f"the {target.colour} {kind}"] * 4
    forms.append(f"the {rng.choice(SIZE_WORDS[target.size])} {target.colour} {kind}")
    if sum(shape.kind == target.kind for shape in scene.shapes) == 1:
        forms.append(f"the {kind}")
    if sum(shape.colour == target.colour for shape in scene.shapes) == 1:
        forms.append(f"the {target.colour} shape")
    return rng.choice(forms)
