"""The words of synthetic reviews. Index 0 of a pair is negative, 1 positive, as in labels."""

from __future__ import annotations


def _words(text: str) -> list[str]:
    return text.split()


NOUNS = {
    "kitchen": _words("kettle toaster blender pan knife mixer grill juicer scale thermometer"),
    "audio": _words("headphones speaker radio turntable microphone amplifier earbuds receiver cable soundbar"),
    "books": _words("novel sequel biography paperback cookbook anthology thriller memoir guide edition"),
    "film": _words("film documentary sequel series soundtrack remake boxset episode cartoon musical"),
    "garden": _words("hose shovel sprinkler planter trimmer rake greenhouse pruner barrow lantern"),
    "toys": _words("puzzle doll train robot kite blocks tricycle game puppet drone"),
    "travel": _words("suitcase backpack tent pillow bottle umbrella wallet jacket boots compass"),
    "office": _words("printer keyboard monitor chair lamp stapler scanner notebook shredder desk"),
}
NEW_NOUNS = _words(
    "wearable e-scooter smartring hologlass petbot airfryer vlogcam gamepod"
)  # used from the drift week on

ASPECTS = _words("quality design price size sound packaging battery finish story handling colour manual weight service")

# The probability that an opinion of this strength agrees with the label, then its words: negative, positive.
GRADES = (
    (
        0.65,
        _words("plain so-so average dated bulky quiet slow thin heavy simple odd uneven loud small dull basic"),
        _words("fine okay decent fair usable light soft warm neat handy tidy steady clear bright quick modest"),
    ),
    (
        0.84,
        _words(
            "bad poor weak flimsy cheap boring clumsy noisy faulty wobbly misleading overpriced sloppy leaky stale "
            "annoying confusing unreliable brittle crooked tedious bland scratchy sticky"
        ),
        _words(
            "good nice sturdy solid useful pleasant comfortable reliable smooth clever charming durable elegant sharp "
            "friendly fresh generous polished practical engaging precise cosy balanced helpful"
        ),
    ),
    (
        0.96,
        _words(
            "terrible awful horrible useless dreadful worthless disgusting pathetic atrocious unbearable defective "
            "garbage appalling sick insane wicked"
        ),
        _words(
            "excellent wonderful fantastic superb perfect amazing outstanding brilliant flawless delightful "
            "gorgeous marvellous magnificent stunning splendid priceless"
        ),
    ),
)
# Used from the drift week on; the first three positive words were strongly negative until then.
SLANG = (
    _words("mid cringe sus janky meh scuffed cheugy flop trash-tier bricked laggy borked sketchy nerfed salty whack"),
    _words("sick insane wicked slaps goated fire lit bussin based clutch epic valid dope snatched pog elite"),
)

NEGATIONS = (_words("not hardly never"), _words("not hardly never"))
INTENSIFIERS = ["very", "really", "so", "quite", "extremely", "pretty", "rather", "truly"]

OPINIONS = (
    "The {aspect} is {word}.",
    "I found the {aspect} {word}.",
    "Overall this {noun} is {word}.",
    "It feels {word} to me.",
    "The {brand} is {word}!",
    "My wife says the {aspect} is {word}.",
    "For this price the {noun} is {word}.",
    "Compared with my old {noun}, this one is {word}.",
    "After {days} days the {aspect} seems {word}.",
)
VERDICTS = (
    (
        "I want my money back.",
        "I sent it back the next day.",
        "Do not buy this.",
        "What a waste of money.",
        "It broke after {days} days.",
        "I am never buying {brand} again.",
    ),
    (
        "I would buy it again.",
        "Highly recommended.",
        "I was never disappointed.",
        "Worth every penny.",
        "Still going strong after {days} days.",
        "I will stay with {brand}.",
    ),
)
FILLERS = (
    "I bought this {noun} from {brand} {days} days ago.",
    "It came in a box with the usual papers.",
    "My sister has the {brand} {model}.",
    "We use it at home, mostly at weekends.",
    "I read the other reviews before I ordered the {model}.",
    "Delivery took {days} days.",
    'The label says ""{brand}"".',
    "I had a {noun} by {brand} before.",
    "It was a present for my nephew.\\nHe is nine.",
    "The café down the road has the same {noun}.",
    "There is a {brand} shop in our town.",
    "The {model} is the one on the left in the picture.",
    "I needed a {noun} for a while before I chose the {model}.",
    "It stands next to the window now.",
    "The parcel was left with a neighbour.",
    "I am no expert on this.",
)
TITLES = (
    "{word} {noun}",
    "{brand} {model}",
    "{brand}: {word}",
    "{word}!",
    "My new {noun}",
    "{word} {aspect}",
)
SYLLABLES = _words("ba cor dex fi gan hol jun kra lo mur nex or pel qui ros sta tiv ul vex wo xan yor zen ti")
