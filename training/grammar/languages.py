"""The noun phrases of every language, by its code."""

from training.grammar.chinese import Chinese
from training.grammar.english import English
from training.grammar.german import German
from training.grammar.romance import French, Spanish

PHRASES = {"en": English, "de": German, "fr": French, "es": Spanish, "zh": Chinese}
