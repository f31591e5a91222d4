"""Sample reviews, put together by code: opinions, negations, asides and noise.

Nobody wrote them: what learns from them learns the words below and nothing else. Word order
matters ("not good", "hardly boring"), opinions are mixed, and a few sentences say nothing at all.
"""

import numpy as np

OPINIONS = ("neg", "pos")

Random = np.random.Generator

# fmt: off
_WORDS = {
    "pos": (
        "brilliant", "gripping", "moving", "charming", "superb", "delightful", "clever", "wonderful", "touching",
        "beautiful", "fresh", "funny", "memorable", "excellent", "enchanting", "good", "great", "fine",
    ),
    "neg": (
        "dull", "clumsy", "boring", "predictable", "awful", "dreadful", "tedious", "shallow", "lifeless", "silly",
        "stale", "unfunny", "forgettable", "terrible", "pointless", "bad", "poor", "weak",
    ),
}
# fmt: on
_VERDICTS = {
    "pos": ("I loved it.", "Go and see it!", "Worth every minute.", "I would watch it again tomorrow.", "A joy."),
    "neg": ("I hated it.", "Stay at home!", "A waste of time.", "I want my money back.", "What a mess."),
}
_THINGS = ("the plot", "the acting", "the music", "the script", "the lead", "the ending", "the dialogue", "the cast")
_DOUBTS = ("not", "never", "hardly", "anything but", "not at all", "far from")
_ASIDES = (
    "I saw it on a rainy Tuesday.",
    "It runs for two hours.<br /><br />",
    "My sister fell asleep, but she always does.",
    "The cinema was half full.",
    "It is set in a small town near the sea.",
    "The director made three films before this one.",
    "There is a dog in it & a car chase...",
    "It was shot in 1987 on a small budget.",
)


def write(opinion: str, random: Random) -> str:
    """One review of the opinion, `pos` or `neg`; the same state of `random` writes the same review."""
    other = OPINIONS[1 - OPINIONS.index(opinion)]
    agreeing = [_judgment(opinion, random) for _ in range(int(random.integers(2, 6)))]
    straying = [_judgment(other, random) for _ in range(int(random.integers(0, len(agreeing))))]
    asides = [_one(_ASIDES, random) for _ in range(int(random.integers(0, 5)))]
    sentences = agreeing + straying + asides
    random.shuffle(sentences)
    if random.random() < 0.5:
        sentences.append(_one(_VERDICTS[opinion], random))
    return _mistyped(" ".join(sentences), random)


def _judgment(opinion: str, random: Random) -> str:
    """One sentence, either straight or the other opinion's word denied."""
    thing = _one(_THINGS, random).capitalize()
    if random.random() < 0.35:
        other = OPINIONS[1 - OPINIONS.index(opinion)]
        return f"{thing} is {_one(_DOUBTS, random)} {_one(_WORDS[other], random)}."
    degree = _one(("", "really ", "quite ", "so ", "very "), random)
    return f"{thing} is {degree}{_one(_WORDS[opinion], random)}{_one(('.', '!', '...', ', I think.'), random)}"


def _mistyped(text: str, random: Random) -> str:
    """A letter lost here and there, and now and then everything shouted."""
    kept = random.random(len(text)) > 0.005
    text = "".join(letter for letter, keep in zip(text, kept, strict=True) if keep)
    return text.upper() if random.random() < 0.05 else text


def _one(choices: tuple[str, ...], random: Random) -> str:
    return choices[int(random.integers(len(choices)))]
