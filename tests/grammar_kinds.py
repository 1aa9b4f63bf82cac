"""A few kinds of cut-outs, in the format of training/kinds.json."""

KINDS = {
    "cat": {
        "en": ["cat", "kitten"],
        "de": ["die", "Katze"],
        "fr": ["le", "chat"],
        "es": ["el", "gato"],
        "zh": ["猫"],
    },
    "dog": {
        "en": ["dog"],
        "de": ["der", "Hund"],
        "fr": ["le", "chien"],
        "es": ["el", "perro"],
        "zh": ["狗"],
    },
    "apple": {
        "en": ["apple"],
        "de": ["der", "Apfel"],
        "fr": ["la", "pomme"],
        "es": ["la", "manzana"],
        "zh": ["苹果"],
    },
}
