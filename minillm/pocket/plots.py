"""The prose of the story grammar.

`[x|y]` is a choice. Slots: {N} the hero's name, {K} what the hero is, {he} {him} {his} {He} the
hero's pronouns, {O} the object, {C} its colour, {P} the hero's home place, {Q} a far place, {F} a
friend's name, {G} what the friend is, {W} food. {aK}, {aG}, {aO}, {aC} carry their article.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plot:
    """A want, the turn that decides it, and how it ends; `brief` tells all of it at once."""

    brief: str
    want: str
    turn: str
    end: str


OPENINGS = (
    "[Once|Once upon a time|Long ago] there was {aK} named {N} who lived [in|near] the {P}.",
    "In the {P} lived {aK} named {N}.",
    "There once lived {aK} called {N}, not far from the {P}.",
)
BRIEF_OPENINGS = (
    "Once there was {aK} named {N}.",
    "In the {P} lived {aK} named {N}.",
)
TRAITS = (
    "{He} was [small but brave|kind and quiet|quick and curious|a little lazy but very kind].",
    "{He} loved [the morning sun|{W}|long walks|old songs] more than anything.",
    "Everyone there knew {N}, because {he} was always [singing|asking questions|helping others].",
    "{He} had one good friend, {aG} named {F}.",
)

PLOTS = (
    Plot(  # finding and giving back
        "One day {he} found {aC} {O} by the road. It belonged to {F} the {G}, so {N} took it back, "
        "and [the two became friends|{F} smiled and thanked {him}].",
        "One [morning|evening] {N} found {aC} {O} [by the road|under a tree]. {He} wanted to know "
        "whose it was, so {he} set out to ask.",
        "At last {N} came to the {Q}. There sat {F} the {G}, looking very sad. "
        '"I have lost my {O}," said {F}. {N} smiled and held out the {C} {O}.',
        "{F} [laughed|danced] with joy. From that day on {N} and {F} were [good|the best of] "
        "friends.",
    ),
    Plot(  # losing and finding
        "One day {he} lost {his} {O}. {He} looked [high and low|everywhere], and at last "
        "{F} the {G} found it [in the grass|under a stone].",
        "{N} had {aC} {O} and took it everywhere. But one [morning|night] the {O} was gone! "
        "{He} made up {his} mind to find it.",
        "Then {he} met {F} the {G} near the {Q}. "
        '"Is this your {O}?" asked {F}. "I found it in the grass." '
        "It was the {C} {O}, a little wet but not broken.",
        "{N} thanked {F} and carried the {O} home. {He} never lost it again.",
    ),
    Plot(  # the dark
        "At night {he} was afraid of the dark, until {F} the {G} gave {him} {aO}. "
        "[Now {he} sleeps well|After that {he} was never afraid].",
        "{N} had a secret: {he} was afraid of the dark. People said that {aC} {O} in the {Q} "
        "could make anyone brave, so {N} went to look for it.",
        "In the {Q} it was very dark. {N} could hear {his} own heart. But {he} walked on, step "
        "by step, and there was the {C} {O}, shining like a star.",
        '"You were brave before you found it," said {F} the {G}. {N} thought about that and '
        "laughed. {He} was not afraid any more.",
    ),
    Plot(  # mending
        "One day {his} {O} broke. {F} the {G} showed {him} how to mend it, and it was "
        "[better than new|as good as new].",
        "One [windy|rainy] day the {C} {O} of {N} fell down and broke. It had come from {his} "
        "grandmother, so {he} wanted to mend it at once.",
        "In the {Q} {N} found {F} the {G}, who could mend anything. They worked all "
        "[day|night] long, and bit by bit the {O} was whole again.",
        '"Now you know how to do it too," said {F}. And soon {N} was mending things for '
        "everyone in the {P}.",
    ),
    Plot(  # the gift
        "{He} wanted to give {F} the {G} a gift, so {he} made {aC} {O}. {F} "
        "[loved it|kept it for ever].",
        "It was almost the birthday of {F} the {G}. {N} wanted to give {him_f} {aC} {O}, but there "
        "was none to be found in the {P}.",
        "In the {Q} stood an old shop, and in the window was {aC} {O}. {N} had no money, so {he} "
        "[sang a song|swept the floor|told a story], and the old man gave it to {him}.",
        "When {F} saw the {C} {O}, {he_f} [jumped for joy|could not say a word]. It was the best "
        "birthday of all.",
    ),
    Plot(  # the storm
        "One night a storm came. {N} used {his} {O} to help {F} the {G} find the way home, and "
        "they [drank hot tea|ate {W}] together.",
        "One evening dark clouds came over the {P}. {F} the {G} was still far away in the {Q}. "
        "{N} took {his} {C} {O} and went out to help.",
        "The wind blew and the rain fell. {N} held the {O} up high and called, again and again. "
        'At last a small voice said, "I am here!" It was {F}.',
        "Together they walked home through the rain. They sat by the fire and ate {W}, and the "
        "{C} {O} lay safe beside them.",
    ),
    Plot(  # sharing
        "{He} had {aC} {O} and would not share it. But it was no fun alone, so {he} called {F} the "
        "{G}, and they [played|laughed] all day.",
        "{N} had the finest {O} of all, and it was {C}. But {he} never let anyone touch it. One "
        "day {he} went away to be alone with it.",
        "In the {Q} it was very quiet. {N} looked at the {C} {O} and felt sad. Just then {F} the "
        '{G} came by. "Would you like to play with it?" asked {N}.',
        "They played until the sun went down. The {O} is good, thought {N}, but a friend is "
        "better.",
    ),
    Plot(  # the secret door
        "One day {he} found {aO} behind a little door. It [sang|shone] when {he} touched it, and "
        "{N} [laughed|was happy all day].",
        "One day {N} found a little door in the {P}. On it was a picture of {aC} {O}, and the "
        "door would not open. {He} had to find that {O}.",
        "Deep in the {Q}, under a heap of leaves, lay the {C} {O}. {N} ran back as fast as {he} "
        "could and held it to the door. Slowly, slowly, the door opened.",
        "Behind it was a garden full of [flowers|lights|birds]. {N} called {F} the {G}, and they "
        "went in together.",
    ),
    Plot(  # the contest
        "There was a race to the {Q}. {N} was last, but {he} stopped to help {F} the {G}, and won "
        "{aC} {O} for being kind.",
        "There was to be a great race to the {Q}, and the prize was {aC} {O}. {N} was not fast, "
        "but {he} wanted to try.",
        "Near the end {N} saw {F} the {G} sitting on the ground. {F} had hurt a foot. {N} stopped, "
        "though the others ran past, and helped {F} to the {Q}.",
        "They came in last of all. But everyone cheered, and the {C} {O} was given to {N} for "
        "{his} good heart.",
    ),
    Plot(  # the riddle
        "{F} the {G} asked {him} a riddle. {N} thought all day, and the answer was {aO}. They both "
        "laughed.",
        'One day {F} the {G} said, "I will give you {W} if you can tell me what I am hiding." '
        "{N} did not know, so {he} went to look for an answer.",
        'In the {Q} {N} saw {aC} {O} in the water and began to laugh. "I know!" {he} cried. '
        '"You are hiding {aO}!"',
        "{F} opened the bag, and there was the {C} {O}. They shared the {W} and told riddles until "
        "it was dark.",
    ),
)

# What may happen on the way: {X} is a passer-by's name, {Y} what they are.
EPISODES = (
    "On the way {he} met {aY} named {X}. "
    '"[Where are you going|What are you doing so far from home], {N}?" asked {X}. '
    "{N} told {X} all about the {O}. "
    '"[Go on past the hill|Follow the river]," said {X}, "and do not [stop|give up]."',
    "Soon {he} came to a river. There was no bridge, but {aY} named {X} had a small boat. "
    "{X} took {N} across and asked for nothing but a [song|story].",
    "By noon {N} was hungry. {He} sat down under a tree and ate some {W}. A little bird came "
    "close, and {N} gave it [half of the {W}|the last bit].",
    "Then it began to rain. {N} hid [under a big leaf|in a hollow tree] and thought about the {O}. "
    "When the rain stopped, there was a rainbow over the {Q}.",
    "The path went up a steep hill. {N} was tired, but {he} thought of the {O} and went on. From "
    "the top {he} could see the {Q} far away.",
    "In the {R} {he} heard somebody crying. It was {X}, a very small {Y}, who could not find the "
    "way home. {N} took {X} by the hand and walked with {him_x} to the {R} gate.",
    "An old {Y} named {X} was sitting by the road. {X} looked at {N} for a long time and said, "
    '"What you look for is nearer than you think." {N} did not understand, but {he} said '
    "thank you.",
    "At night {N} slept [under the stars|in a warm barn]. {He} dreamed that the {O} was "
    "[as big as a house|flying over the sea|talking to {him}]. In the morning {he} walked on.",
    "{N} came to the {R} and asked everyone about the {O}. Nobody could help. Only {X} the {Y} "
    'said, "[Try|Look in] the {Q}."',
    "There were two roads. One was wide and easy, the other was narrow and dark. {N} took the "
    "[narrow|wide] one, and {he} soon saw [footprints|a light] ahead.",
    'A proud {Y} named {X} stood in the way. "Nobody may pass!" said {X}. But {N} [told a joke|'
    "asked so kindly] that {X} laughed and stepped aside.",
    "{N} sang a little song to keep {his} spirits up. Before long {X} the {Y} was singing too, and "
    "they walked through the {R} together.",
)

MORALS = (
    "And that was the end of a [good|long|happy] day.",
    "And if you go to the {P} today, you may still see {N} there.",
    "Since then they tell this story in the {P} every [winter|summer|year].",
    "That night {N} slept very well.",
)
