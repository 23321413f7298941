"""Synthetic product reviews, for trying the project without data. Scores on them do not carry over to real reviews.

The same parameters give the same bytes. Labels follow opinion words (graded, negated, mixed) and the reputation of the
brand. Brands are drawn from a long tail, so every week has new ones and a longer window knows more of them. From the
drift week on, a share of the reviews is about new products, in slang that did not occur before, in which three negative
words are positive. A tenth of the test set is of that kind. Of the training rows 0.2 % are malformed, 0.2 % repeat a
row of their week, and one in 2,000 repeats a test review; preprocess puts all of these into the quarantine.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from ratchet.errors import ConfigurationError
from ratchet.jobs import keys
from ratchet.sources import lexicon

CATEGORIES = list(lexicon.NOUNS.values())
BRANDS = 20_000
UNTITLED = 0.3
NEGATED = 0.15
MISSPELLED = 0.05
NEW_IN_TEST = 0.1
MALFORMED = (  # each is refused for a different reason
    b'"3","Three stars","There is no class 3 in this layout."\n',
    b'"1","Only two columns"\n',
    b'"2","Empty",""\n',
    b'"1","Broken encoding","It was a \xff\xfe disappointment."\n',
    b'"2","Unclosed quote","It never ends.\n',
)


@dataclass(frozen=True)
class Parameters:
    """The parameters of a source such as `synthetic:rows=5000&drift_week=none`."""

    rows: int = 20_000  # training rows over all weeks
    test_rows: int = 2_000
    weeks: int = 10
    seed: int = 0
    noise: float = 0.05  # share of labels that are wrong, in training and test
    drift_week: int | None = 6
    drift: float = 0.5  # share of new products from the drift week on

    @classmethod
    def parse(cls, text: str) -> Parameters:
        """Read `name=value&…`. Raises ConfigurationError for an unknown name or an impossible value."""
        known: dict[str, type] = {field.name: type(field.default) for field in fields(cls)}
        given: dict[str, int | float | None] = {}
        for pair in filter(None, text.split("&")):
            name, _, value = pair.partition("=")
            if name not in known:
                raise ConfigurationError(f"synthetic: has no parameter {name!r}. It has: {', '.join(known)}.")
            try:
                given[name] = None if (name, value) == ("drift_week", "none") else known[name](value)
            except ValueError:
                raise ConfigurationError(f"synthetic: {name}={value} is no {known[name].__name__}.") from None
        made = cls(**given)  # type: ignore[arg-type]
        if not (0 <= made.noise <= 1 and 0 <= made.drift <= 1):
            raise ConfigurationError("synthetic: noise and drift are shares; give them between 0 and 1.")
        if min(made.weeks, made.test_rows) < 1 or made.rows < made.weeks:
            raise ConfigurationError("synthetic: give at least one week, one test row, and one row a week.")
        return made


def write(parameters: Parameters, delivery: str, folder: Path) -> dict[str, Path]:
    """Write `train.csv` and `test.csv` of the seed, or `train.csv` of one more week (`batch_10`): role → file.

    Kaggle's layout: class 1 or 2, title, text; all quoted. The seed's weeks follow one another, equally long.
    """
    files = {"train": folder / "train.csv"}
    with files["train"].open("wb") as file:
        for week in _weeks(parameters, delivery):
            file.writelines(week_rows(parameters, week))
    if delivery == keys.SEED:
        files["test"] = folder / "test.csv"
        with files["test"].open("wb") as file:
            file.writelines(test_rows(parameters))
    return files


def _weeks(parameters: Parameters, delivery: str) -> Iterable[int]:
    if delivery == keys.SEED:
        return range(parameters.weeks)
    found = re.fullmatch(r"batch_(\d+)", delivery)
    if not found:
        raise ConfigurationError(f"{delivery!r} is no delivery. It is {keys.SEED}, or a batch such as batch_10.")
    return [int(found[1])]


def week_rows(parameters: Parameters, week: int) -> Iterator[bytes]:
    """The lines of one week; they depend on no other week."""
    rng = random.Random(f"{parameters.seed}/{week}")  # noqa: S311 - not for cryptography
    first, last = (parameters.rows * edge // parameters.weeks for edge in (week, week + 1))
    drifted = parameters.drift_week is not None and week >= parameters.drift_week
    fresh = parameters.drift if drifted else 0.0
    from_test = next(test_rows(parameters))
    line = b""
    for row in range(first, last):
        if row % 500 == 250:
            yield MALFORMED[row // 500 % len(MALFORMED)]
        elif row % 500 == 400 and line:
            yield line
        elif row % 2000 == 1500:
            yield from_test
        else:
            line = _review(rng, parameters.noise, fresh)
            yield line


def test_rows(parameters: Parameters) -> Iterator[bytes]:
    """The lines of the test set."""
    rng = random.Random(f"{parameters.seed}/test")  # noqa: S311 - not for cryptography
    fresh = 0.0 if parameters.drift_week is None else NEW_IN_TEST
    return (_review(rng, parameters.noise, fresh) for _ in range(parameters.test_rows))


@cache
def _brand(number: int) -> tuple[str, float]:
    """Name and reputation (probability of a positive review) of an invented brand."""
    rng = random.Random(number)  # noqa: S311 - not for cryptography
    name = "".join(rng.choices(lexicon.SYLLABLES, k=3)).capitalize()
    return name, rng.choice((0.12, 0.3, 0.5, 0.7, 0.88))


def _review(rng: random.Random, noise: float, fresh: float) -> bytes:
    """One line. The label is drawn from the brand's reputation, the words from the label; `noise` labels are wrong."""
    new = rng.random() < fresh
    brand, reputation = _brand(int(BRANDS ** rng.random()))  # log-uniform ranks: Zipf's law
    label = int(rng.random() < (0.5 if new else reputation))
    nouns = lexicon.NEW_NOUNS if new else rng.choice(CATEGORIES)
    words = {
        "brand": brand,
        "noun": rng.choice(nouns),
        "model": f"{brand[:2].upper()}-{rng.randrange(1000)}",
        "days": rng.randrange(2, 60),
    }
    sentences = []
    for _ in range(rng.randrange(3, 9)):
        draw = rng.random()
        words["aspect"] = rng.choice(lexicon.ASPECTS)
        words["word"] = _opinion(rng, label, new)
        if draw < 0.6:
            sentences.append(rng.choice(lexicon.OPINIONS).format_map(words))
        elif draw < 0.68 and not new:
            sentences.append(rng.choice(lexicon.VERDICTS[label]).format_map(words))
        else:
            sentences.append(rng.choice(lexicon.FILLERS).format_map(words))
    title = "" if rng.random() < UNTITLED else rng.choice(lexicon.TITLES).format_map(words)
    shown = label if rng.random() >= noise else 1 - label
    return f'"{shown + 1}","{title[:1].upper()}{title[1:]}","{" ".join(sentences)}"\n'.encode()


def _opinion(rng: random.Random, label: int, new: bool) -> str:
    """A word of opinion. A strong word agrees with the label more often than a weak one; some negate the opposite."""
    agreement, *by_side = (0.9, *lexicon.SLANG) if new else rng.choice(lexicon.GRADES)
    side = label if rng.random() < agreement else 1 - label
    if rng.random() < NEGATED:
        return f"{rng.choice(lexicon.NEGATIONS[side])} {rng.choice(by_side[1 - side])}"
    word = rng.choice(by_side[side])
    if rng.random() < MISSPELLED and len(word) > 3:
        place = rng.randrange(1, len(word) - 1)
        word = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    return f"{rng.choice(lexicon.INTENSIFIERS)} {word}" if rng.random() < 0.3 else word
