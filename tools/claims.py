"""Do the records carry what the pages say?  python tools/claims.py [--effects]

Both directions are looked at. Every decimal number in the prose of the home page, of README.md,
of the tables (nbs/98b_numbers.ipynb) and of the answers (nbs/98_answers.ipynb) belongs to a
sentence of SAID, whose numbers are filled in from the records here: a sentence that is not on its
page word by word is one that the records do not give. Each sentence also names the differences it
rests on and what they have to be after Holm's correction. And the other way round: a difference
of the two recorded studies that stands after correction, and that no sentence names, is listed.
The planted drops are held to the same: what nbs/97b_sensitivity.ipynb says of each measure is
recomputed, and a planted drop that stands and is named nowhere is listed.
Exit status 1 if anything is found; --effects prints every difference with its p-values.
"""

import json
import math
import re
import sys
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from statistics import mean, median, stdev
from typing import NamedTuple

from synthflaw.stats import (
    paired_contrast,
    power_to_find,
    seed_cell,
    seeds_to_find,
    show_cell,
)
from synthflaw.study.summary import QUESTIONS, bounded, corrected, smallest_effect

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "synthflaw" / "records" / "study"
STUDIES = {"smollm": "smollm.json", "nano": "five.json"}
INDEX, README, ANSWERS = "nbs/index.ipynb", "README.md", "nbs/98_answers.ipynb"
TABLES, CONTROLS = "nbs/98b_numbers.ipynb", "nbs/97b_sensitivity.ipynb"
MEASURES = {
    "following": ("if_strict", "-Chat"),
    "pattern before": ("pattern_rate", ""),
    "pattern": ("pattern_rate", "-Chat"),
    "pairs before": ("ppl_synthetic", ""),
    "pairs": ("ppl_synthetic", "-Chat"),
    "natural before": ("ppl_natural", ""),
    "natural": ("ppl_natural", "-Chat"),
    "degenerate before": ("degenerate_rate", ""),
    "degenerate": ("degenerate_rate", "-Chat"),
}  # name -> metric of the record, ending of the model; perplexities are compared in nats


class Said(NamedTuple):
    "A sentence with its numbers left open."

    page: str  # where it stands
    text: str  # with {key} or {key:digits} for a cell, see `fill`
    carries: tuple = ()  # (study, measure, contrast, "+", "-" or "0")


@lru_cache
def study(name: str) -> dict:
    "A recorded study."
    return json.loads((RECORDS / STUDIES[name]).read_text(encoding="utf-8"))


@lru_cache
def rows(name: str) -> tuple[dict, ...]:
    "The rows of a recorded experiment."
    lines = (RECORDS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


def of_study(name: str, measure: str, model: str) -> list[float]:
    "A measure of a model, seed by seed; of a perplexity, nats a token."
    metric, ending = MEASURES[measure]
    values = study(name)["models"][f"{model}{ending}"]["metrics"][metric]["values"]
    return [math.log(v) for v in values] if metric.startswith("ppl") else values


def between(name: str, measure: str, first: str, second: str) -> dict:
    "First minus second, seed by seed."
    a, b = (of_study(name, measure, m) for m in (first, second))
    return paired_contrast(a, b)


def in_map(conversations: int, first: str, second: str) -> dict:
    "First minus second in the share of template answers, largest dose, after a gentle SFT."
    place = {"tokens": 240_000, "share": 1.0, "sft_rows": conversations}
    place["sft_lr"] = 5e-4 if conversations else 0.0
    mine = [r for r in rows("map") if all(r[k] == v for k, v in place.items())]
    of = {a: {r["seed"]: r["pattern_rate"] for r in mine if r["arm"] == a} for a in (first, second)}
    seeds = sorted(of[first])
    return paired_contrast([of[first][s] for s in seeds], [of[second][s] for s in seeds])


PLANTED = {"controls": "SmolLM2", "controls_nano": "nano"}  # records of planted drops
MARGINS = {"margin": "margin", "margin_other": "margin against another"}
DOSES = ("6%", "12%", "25%", "50%", "100%", "removed")
PAPER = (24.00 - 27.58) / 27.58  # the paper's drop, relative


def clean_looks(name: str) -> list[dict]:
    "The rows of planted drops that were measured at once, in the order of their seeds."
    mine = [r for r in rows(name) if r["stage"] == "likelihoods"]
    return sorted(mine, key=lambda r: r["seed"])


def scored(name: str, measure: str, arm: str) -> dict[int, float]:
    "A measure after a planted treatment, by seed."
    return {r["seed"]: r[measure] for r in clean_looks(name) if r["arm"] == arm}


def planted(name: str, measure: str, arm: str) -> dict:
    "A planted treatment minus clean rows, on the seeds that have both."
    a, b = scored(name, measure, arm), scored(name, measure, "0%")
    return paired_contrast(*([x[s] for s in a if s in b] for x in (a, b)))


PROTOCOL = ("area", "hidden_plain", "hidden_chat")  # measures of the recorded protocol
ASKED = (("MixedLM", "SynthLM"), ("UnlearnLM", "natural only"))  # its contrasts


@lru_cache
def effects(name: str, measure: str) -> dict[str, dict]:
    "Contrast -> cell with its p-value after Holm's correction within its question."
    if name == "protocol":
        return corrected({" − ".join(pair): _of_protocol(measure, *pair) for pair in ASKED})
    if name in PLANTED:
        doses = [a for a in DOSES if len(scored(name, measure, a)) > 1]
        return corrected({a: planted(name, measure, a) for a in doses})
    out = {}
    for pairs in QUESTIONS.values():
        out |= corrected({n: between(name, measure, *pair) for n, pair in pairs.items()})
    return out


def sign(cell: dict, level: float = 0.05) -> str:
    "What a difference is after correction: + or -, or 0 where it may be chance."
    if cell["p"] is None:  # the same in all seeds
        return "0" if cell["mean"] == 0 else "+" if cell["mean"] > 0 else "-"
    return "0" if cell["p_holm"] > level else "+" if cell["mean"] > 0 else "-"


def value(key: str) -> dict | str:
    "What a key of a sentence stands for: a cell, or a text."
    kind, _, rest = key.partition("|")
    if kind in STUDIES:
        measure, first, second = rest.split("|")
        cell = between(kind, measure, first, second)
        return cell if measure.startswith(("pairs", "natural")) else bounded(cell)
    if kind == "map":
        n, first, second = rest.split("|")
        return in_map(int(n), first, second)
    if kind == "opening":
        found = json.loads((RECORDS / "openings.json").read_text(encoding="utf-8"))["smollm"]
        if "|" in rest:
            return bounded(paired_contrast(*(found[m] for m in rest.split("|"))))
        return f"{min(found[rest]):.0%} and {max(found[rest]):.0%}"
    if kind in PLANTED:
        return _of_controls(kind, *rest.split("|"))
    if kind == "protocol":
        return _of_protocol(*rest.split("|"))
    if kind == "repairs":
        arm, stage, metric = rest.split("|")
        return _repaired(arm, stage, metric)
    return ANYTHING[key]()


def _needs(name: str, measure: str, spread: str) -> tuple[float, float, float]:
    "The paper's drop of a measure, the standard deviation of a difference, its upper end."
    from scipy import stats

    clean, again = (list(scored(name, measure, a).values()) for a in ("0%", "again"))
    values = [2**0.5 * v for v in clean + again]
    if spread == "same":
        values = planted(name, measure, "12%")["values"]
    n = len(values)
    sd = stdev(values)
    high = sd * math.sqrt((n - 1) / float(stats.chi2.ppf(0.025, n - 1)))
    return PAPER * seed_cell(clean)["mean"], sd, high


def _seconds(name: str) -> float:
    "CPU seconds of SFT and measuring in a cell, by medians over an eighth of the rows spoiled."
    timed = [r for r in clean_looks(name) if r["arm"] == "12%"]
    return sum(median(r[k] for r in timed) for k in ("seconds_sft", "seconds_look"))


def _of_controls(name: str, measure: str, what: str, spread: str = "") -> dict | str:
    "Of the planted drops: a difference, or what is said of a measure."
    cells = effects(name, measure)
    if what in (*DOSES, "again"):
        return planted(name, measure, what)
    found = [a for a, c in cells.items() if sign(c) == "-"]
    null = planted(name, measure, "again")["ci95"]
    words = {
        "found": ", ".join(found) or "none",
        "used": "used" if "25%" in found and null[0] <= 0 <= null[1] else "not used",
        "p": f"{cells['25%']['p_holm']:.2g}",
        "n": f"{cells['25%']['n']}",
    }
    return words[what] if what in words else _plan(name, measure, what, spread)


def _plan(name: str, measure: str, what: str, spread: str) -> str:
    "What a drop of the paper's relative size takes."
    drop, sd, high = _needs(name, measure, spread)
    seeds, most = (seeds_to_find(drop, s) for s in (sd, high))
    words = {
        "drop": f"{-drop:.3f}",
        "power": f"{min(0.99, power_to_find(drop, sd, 5)):.0%}",
        "seeds": f"{seeds}",
        "most": f"{most}",
        "minutes": f"{2 * seeds * _seconds(name) / 60:.1f}",
    }
    return words[what]


def _alarms(name: str) -> str:
    "Share of the pairs of clean models that an interval over prompts calls different."
    mine = [r for r in rows(name) if r["stage"] == "likelihoods"]
    clean = [r["margins"] for r in mine if r["arm"] in ("0%", "again")]
    cells = [paired_contrast([a], [b])["ci95"] for a, b in combinations(clean, 2)]
    wrong = sum(low > 0 or high < 0 for low, high in cells)
    return f"{wrong / len(cells):.0%} of {len(cells)} pairs"


TWO = ("restore", "forget, longer")  # repairs that home page and README speak of
STAGES = ("before_sft", "after_sft")


def _of_arm(arm: str, stage: str) -> list[dict]:
    "What is recorded of a repair at a stage, seed by seed."
    return [row[stage] for row in rows("repairs") if row["arm"] == arm]


def _repaired(arm: str, stage: str, metric: str) -> str:
    "A share or a probability of a recorded repair, in the mean over seeds."
    found = mean(seen["cells"][metric]["value"] for seen in _of_arm(arm, stage))
    return f"{found:.0%}" if metric in ("habits", "degenerate") else f"{found:.2f}"


def _left_at_most() -> str:
    "The most answers of 120 in which the two leave a habit of the panel, over seeds and stages."
    seen = [s for arm in TWO for stage in STAGES for s in _of_arm(arm, stage)]
    most = max(round(120 * s["cells"]["habits"]["value"]) for s in seen)
    return ("none", "one", "two", "three")[most]


def _left_by_any_phrase() -> str:
    "The same with the damaged model's phrases as well, as the refusals of these repairs say."
    said = [r for arm in TWO for stage in STAGES for s in _of_arm(arm, stage) for r in s["reasons"]]
    found = [re.match(r"habits in (\d+)%", reason) for reason in said]
    return f"{max(int(f[1]) for f in found if f)}%"


def _of_protocol(measure: str, first: str, second: str) -> dict:
    "First minus second in the recorded protocol: its area, or a measure after the last lesson."
    found = {
        a: {r["seed"]: r[measure] for r in rows("protocol_nano") if r["arm"] == a}
        for a in (first, second)
    }
    seeds = sorted(found[first])
    return paired_contrast(*([found[a][s] for s in seeds] for a in (first, second)))


def _taken_out(arm: str) -> str:
    "What an arm has lost of the format that stays hidden in SynthLM after the last lesson."
    hidden = {
        a: mean(r["hidden_plain"] for r in rows("protocol_nano") if r["arm"] == a)
        for a in ("SynthLM", arm)
    }
    return f"{1 - hidden[arm] / hidden['SynthLM']:.0%}"


def _protocol_finds() -> str:
    "The smallest difference that 80% of such protocols find."
    found = smallest_effect(_of_protocol("area", "MixedLM", "SynthLM")["values"])
    return f"{found[0]:.3f}"


def _cost(name: str) -> str:
    return f"{study(name)['cost']['unlearn_share_of_refine']:.0%}"


def _natural_share() -> str:
    cost = study("nano")["cost"]
    return f"{cost['unlearn_tokens'] / 2 / cost['refine_tokens']:.1%}"


def _weakest() -> str:
    taken = ("regain", "unlearn_over_replay", "unlearn_over_refine")
    return f"{max(effects('smollm', 'pairs')[n]['p_holm'] for n in taken):.3f}"


def _misses() -> str:
    "The most by which ascent and NPO miss the limit at weight 0.64, rounded up, in nats."
    tuning = [r for r in rows("objectives") if r["stage"] == "tuning"]
    zero = next(r for r in tuning if r["objective"] == "weight 0")["nll_natural"]
    near = [r for r in tuning if r["objective"] in ("ga", "npo")]
    costs = [r["nll_natural"] - zero for r in near if round(r["w_forget"], 2) == 0.64]
    return f"{math.ceil(1000 * (max(costs) - 0.05)) / 1000:.3f}"


def _room() -> str:
    chat = study("nano")["models"]["BaseLM-Chat"]["metrics"]
    room = seed_cell(chat["if_strict"]["values"])["mean"] - chat["if_constant"]["mean"]
    return "0.15" if room >= 0.15 else f"{room:.2f}"


def _times_as_likely() -> str:
    return f"{math.exp(between('smollm', 'pairs', 'NaturalLM', 'SynthLM')['mean']):.1f}"


ANYTHING = {
    "times as likely": _times_as_likely,
    "cost nano": lambda: _cost("nano"),
    "cost smollm": lambda: _cost("smollm"),
    "natural share": _natural_share,
    "weakest": _weakest,
    "misses": _misses,
    "room": _room,
    "alarms SmolLM2": lambda: _alarms("controls"),
    "alarms nano": lambda: _alarms("controls_nano"),
    "five alike": lambda: f"{1 - 0.05 ** (1 / 5):.0%}",
    "three alike": lambda: f"{1 - 0.05 ** (1 / 3):.0%}",
    "the paper's drop": lambda: f"{(27.58 - 24.00) / 100:.3f}",
    "the paper's share": lambda: f"{(27.58 - 24.00) / 27.58:.0%}",
    "taken out": lambda: _taken_out("UnlearnLM"),
    "taken by natural text": lambda: _taken_out("natural only"),
    "protocol finds": _protocol_finds,
    "most left": _left_at_most,
    "any phrase": _left_by_any_phrase,
}


def fill(text: str) -> str:
    "A sentence with the numbers that the records give."

    def one(m: re.Match) -> str:
        key, _, form = m[1].partition(":")
        found = value(key)
        if isinstance(found, dict):
            if form.startswith("mean"):
                found = f"{abs(found['mean']):.{form[4:]}f}"
            elif form == "share":
                found = f"{abs(found['mean']):.0%}"
            elif form.startswith("p"):
                found = f"{corrected({'': found})['']['p']:.{form[1:]}g}"
            else:
                found = show_cell(found, int(form or 3))
        return re.sub(r"(?<![\w.])-(?=\d)", "−", found)

    return re.sub(r"\{([^{}]+)\}", one, text)


FREE = "replay, no divergence"
FRONT = (
    "likelier than its control does: by {smollm|pairs|NaturalLM|SynthLM:2} nats a token on SmolLM2 "
    "(3 seeds) and by {nano|pairs|NaturalLM|SynthLM:2} on the nano models (5 seeds). Unlearning "
    "took it out of SmolLM2; replay did not, and neither did natural text of twelve times the "
    "repair's tokens. On nano no removal was found after this study's fine-tuning; after a gentle "
    "one, in another run, there was one. No drop in instruction following was found."
)
FIRST = (
    "likelier to it than to a model that read the same documents as plain text, by "
    "{smollm|pairs|NaturalLM|SynthLM:2} nats a token on SmolLM2 (3 seeds), which makes a token "
    "{times as likely} times as likely, and by {nano|pairs|NaturalLM|SynthLM:2} on *nano*, the "
    "small model that ships with the package (5 seeds). Unlearning took that out of SmolLM2; "
    "natural text alone did not, even with twelve times as many tokens. On nano it "
    "removed {taken out}, measured after a little fine-tuning (20 seeds); after the study's longer "
    "one no removal was found. No drop in instruction following was found on either."
)
HELD = tuple(
    (size, "pairs", name, "+") for size in STUDIES for name in ("drop", "drop_base", "drop_mixed")
)
TAKEN = ("regain", "unlearn_over_replay", "unlearn_over_refine")
LEFT = ("regain_replay", "regain_refine")
OUT = (
    *(("smollm", "pairs", name, "+") for name in TAKEN),
    *(("smollm", "pairs", name, "0") for name in LEFT),
    *(("nano", "pairs", name, "0") for name in (*TAKEN, *LEFT)),
)


def both(measure: str, contrasts: str, wanted: str) -> tuple:
    "What a sentence rests on at both scales."
    return tuple((size, measure, name, wanted) for size in STUDIES for name in contrasts.split())


NO_DROP = tuple((size, "following", "drop", "0") for size in STUDIES)
REPAIRED = (
    "In this experiment the trained SmolLM2 (3 seeds) shows a habit of the template in "
    "{repairs|SynthLM|before_sft|habits} of its answers."
)
STRICTEST = (
    "After either, at most {most left} of 120 answers a seed shows a habit; the strictest count, "
    "which takes every phrase that the damaged model repeats, finds {any phrase} at most."
)
HOME = (
    Said("", FIRST, HELD + OUT + NO_DROP),
    Said("", REPAIRED),
    Said("", STRICTEST),
)
NUMBERS_PAGE = (
    Said(TABLES, FRONT, HELD + OUT + NO_DROP),
    Said(
        TABLES, "The repaired nano model still finds them {nano|pairs|NaturalLM|UnlearnLM:2} nats"
    ),
    Said(TABLES, "which reads {natural share} of the expensive control's natural tokens"),
    Said(TABLES, "Five alike seeds leave room for up to {five alike} of others that differ"),
    Said(TABLES, "between {opening|UnlearnLM} of the repaired model's answers"),
    Said(TABLES, "follows {room} more of the prompts than the best single fixed answer would"),
)
MEASURED = (
    "* The *{1}* of {0} is **{{{2}|{3}|used}}**. A quarter of the rows spoiled moves it by "
    "{{{2}|{3}|25%}} ({{{2}|{3}|n}} seeds, corrected p {{{2}|{3}|p}}). Of the planted doses it "
    "detects: {{{2}|{3}|found}}. Between two identical treatments it moves by "
    "{{{2}|{3}|again}}. A drop of the paper's relative size, {{{2}|{3}|drop|same}}, would be found "
    "by five seeds with a power of {{{2}|{3}|power|same}} if both arms learn from the same rows of "
    "SFT, and of {{{2}|{3}|power|other}} if they share none. A power of 80% takes "
    "{{{2}|{3}|seeds|same}} seeds ({{{2}|{3}|minutes|same}} CPU minutes) with the same rows and "
    "{{{2}|{3}|seeds|other}} seeds ({{{2}|{3}|minutes|other}} minutes) with different ones; if the "
    "true spread is at the upper end of its interval, {{{2}|{3}|most|same}} and "
    "{{{2}|{3}|most|other}} seeds."
)
ALARM = (
    "* In the negative control of {0}, an interval over the *prompts* of one pair of runs calls "
    "{{alarms {0}}} of clean models different"
)


PLANTED_SAID = (
    "On nano, with five seeds, both detect an eighth of the SFT rows spoiled, by "
    "{controls_nano|margin|12%} and {controls_nano|margin_other|12%} nats a token. They would find "
    "a drop of the paper's relative size with a power of {controls_nano|margin|power|other}, not "
    "counting the spread of pre-training. On SmolLM2, with five seeds, both detect a sixteenth of "
    "the rows spoiled, by {controls|margin|6%} and {controls|margin_other|6%}; a drop of the "
    "paper's relative size they would find with a power of {controls|margin|power|same} and "
    "{controls|margin_other|power|same} if the arms share their rows of SFT, and of "
    "{controls|margin|power|other} and {controls|margin_other|power|other} if they share none."
)


def measured() -> list[Said]:
    "What is said of each measure with planted drops; what stands is in `NAMED`."
    out = [Said(CONTROLS, ALARM.format(scale)) for scale in PLANTED.values()]
    out.append(Said(CONTROLS, "one of {the paper's share} of its score in FollowBench"))
    for name, scale in PLANTED.items():
        for measure, words in MARGINS.items():
            carries = tuple((name, measure, *dose) for dose in NAMED.get((name, measure), ()))
            out.append(Said(CONTROLS, MEASURED.format(scale, words, name, measure), carries))
    return out


FOUND = tuple((dose, "-") for dose in DOSES[1:])  # on nano the smallest was not run
NAMED = {
    ("controls", "margin"): tuple((dose, "-") for dose in DOSES),
    ("controls", "margin_other"): tuple((dose, "-") for dose in DOSES),
    ("controls_nano", "margin"): FOUND,
    ("controls_nano", "margin_other"): FOUND,
}  # (record, measure) -> doses that its sentence names, and what they are after correction
SAID = (
    *(s._replace(page=page) for s in HOME for page in (INDEX, README)),
    *NUMBERS_PAGE,
    Said(
        ANSWERS,
        "by {smollm|pairs|NaturalLM|SynthLM:2} nats a token on SmolLM2 and by "
        "{nano|pairs|NaturalLM|SynthLM:2} on nano, and likelier than MixedLM-Chat, which read the "
        "same facts, by {smollm|pairs|MixedLM|SynthLM:2} and {nano|pairs|MixedLM|SynthLM:2}.",
        HELD,
    ),
    Said(
        ANSWERS,
        "UnlearnLM-Chat finds them less likely than ReplayLM-Chat by "
        "{smollm|pairs|UnlearnLM|ReplayLM:2} and less likely than RefineLM-Chat, which read twelve "
        "times the repair's tokens as natural text, by {smollm|pairs|UnlearnLM|RefineLM:2}. No "
        "difference from BaseLM-Chat is found ({smollm|pairs|UnlearnLM|BaseLM:2}). On nano no "
        "removal is found: the repaired model still finds the pairs "
        "{nano|pairs|NaturalLM|UnlearnLM:2} nats a token likelier",
        OUT,
    ),
    Said(ANSWERS, "the weakest of them with p {weakest};"),
    Said(
        ANSWERS,
        "with five seeds up to {five alike} of other seeds may differ, with three up to "
        "{three alike} (",
    ),
    Said(ANSWERS, "larger than the paper's {the paper's drop}.", NO_DROP),
    Said(ANSWERS, "for {cost nano} of the expensive control's tokens on nano and {cost smollm} on"),
    Said(ANSWERS, "because {natural share} of them, as plain natural text, nearly take out"),
    Said(
        ANSWERS,
        f"shows {{map|25|{FREE}|UnlearnLM:mean3}} less of the template than replay without "
        "divergence after 25 and after 75 conversations "
        f"(p {{map|25|UnlearnLM|{FREE}:p2}} each) and {{map|300|{FREE}|UnlearnLM:mean3}} less "
        f"after 300 (p {{map|300|UnlearnLM|{FREE}:p2}})",
    ),
    Said(ANSWERS, "between {opening|UnlearnLM} of the repaired model's answers"),
    Said(ANSWERS, "three seeds cannot say ({opening|UnlearnLM|SynthLM:2})"),
    Said(ANSWERS, "both miss the limit by less than {misses} nats"),
    Said(ANSWERS, "in following, {the paper's drop} on its benchmark"),
    Said(
        ANSWERS,
        "SynthLM finds held-out pairs likelier than NaturalLM by "
        "{smollm|pairs before|NaturalLM|SynthLM:2} nats a token on SmolLM2 and by "
        "{nano|pairs before|NaturalLM|SynthLM:2} on nano, and likelier than MixedLM by "
        "{smollm|pairs before|MixedLM|SynthLM:2} and {nano|pairs before|MixedLM|SynthLM:2}.",
        both("pairs before", "drop drop_base drop_mixed", "+"),
    ),
    Said(
        ANSWERS,
        "Unlearning raises their negative log-likelihood again by "
        "{smollm|pairs before|UnlearnLM|SynthLM:mean2} (on SmolLM2 by more than that gap) and "
        "{nano|pairs before|UnlearnLM|SynthLM:mean2}, the expensive control by "
        "{smollm|pairs before|RefineLM|SynthLM:mean2} and "
        "{nano|pairs before|RefineLM|SynthLM:mean2}, and replay with divergence by "
        "{nano|pairs before|ReplayLM|SynthLM:mean2} on nano.",
        (
            *both("pairs before", "regain regain_refine unlearn_over_replay", "+"),
            *both("pairs before", "unlearn_over_refine", "+"),
            ("nano", "pairs before", "regain_replay", "+"),
            ("smollm", "pairs before", "regain_replay", "0"),
        ),
    ),
    Said(
        ANSWERS,
        "SynthLM finds it less likely than NaturalLM by "
        "{smollm|natural before|NaturalLM|SynthLM:mean2} nats on SmolLM2 and by "
        "{nano|natural before|NaturalLM|SynthLM:mean2} on nano, where it also stands "
        "{nano|natural before|BaseLM|SynthLM:mean2} above BaseLM and "
        "{nano|natural before|MixedLM|SynthLM:mean2} above MixedLM.",
        (
            *both("natural before", "drop", "-"),
            ("nano", "natural before", "drop_base", "-"),
            ("nano", "natural before", "drop_mixed", "-"),
        ),
    ),
    Said(
        ANSWERS,
        "with forgetting ({smollm|natural before|UnlearnLM|SynthLM:mean2} and "
        "{nano|natural before|UnlearnLM|SynthLM:mean2}) and without "
        "({smollm|natural before|ReplayLM|SynthLM:mean2} and "
        "{nano|natural before|ReplayLM|SynthLM:mean2}); the expensive control does most "
        "({smollm|natural before|RefineLM|SynthLM:mean2} and "
        "{nano|natural before|RefineLM|SynthLM:mean2}), which is more than the pairs had cost. "
        "After SFT nothing of this stands after correction.",
        (
            *both("natural before", "regain regain_replay regain_refine", "-"),
            *both("natural before", "unlearn_over_refine", "+"),
            *both("natural before", "unlearn_over_replay", "0"),
            *both("natural", " ".join(n for pairs in QUESTIONS.values() for n in pairs), "0"),
        ),
    ),
    Said(
        ANSWERS,
        "Replay with divergence takes them out of {smollm|pattern before|ReplayLM|SynthLM:share} "
        "of the answers, the expensive control out of "
        "{smollm|pattern before|RefineLM|SynthLM:share}, unlearning out of "
        "{smollm|pattern before|UnlearnLM|SynthLM:share}.",
        tuple(("smollm", "pattern before", n, "-") for n in (*LEFT, *TAKEN)),
    ),
    Said(
        ANSWERS,
        "On nano SynthLM leaves {nano|degenerate before|NaturalLM|SynthLM:mean2} fewer answers "
        "degenerate than NaturalLM and BaseLM do, because the template ends; unlearning adds "
        "{nano|degenerate before|UnlearnLM|SynthLM:mean2} again and the expensive control "
        "{nano|degenerate before|RefineLM|SynthLM:mean2}. On SmolLM2 UnlearnLM leaves "
        "{smollm|degenerate before|UnlearnLM|ReplayLM:2} more answers degenerate than ReplayLM.",
        (
            *(("nano", "degenerate before", n, "+") for n in ("drop", "drop_base")),
            *(("nano", "degenerate before", n, "+") for n in ("regain", "regain_refine")),
            ("smollm", "degenerate before", "unlearn_over_replay", "+"),
        ),
    ),
    Said(
        ANSWERS,
        "Before SFT one-format models answer in it nearly always, at both scales, and models that "
        "read the same documents as natural text never do. After the study's SFT no answer shows",
        (
            *both("pattern before", "drop drop_base drop_mixed regain", "-"),
            *both("pattern before", "unlearn_over_replay regain_refine", "-"),
            *both("pattern", "drop drop_base drop_mixed regain unlearn_over_replay", "0"),
        ),
    ),
    *measured(),
    Said(ANSWERS, PLANTED_SAID),
    Said(
        ANSWERS,
        "unlearning has taken out {taken out} of what is hidden, and the same number of tokens of "
        "natural text has taken out {taken by natural text}; the difference is "
        "{protocol|hidden_plain|UnlearnLM|natural only} nats a token",
        (
            ("protocol", "hidden_plain", "UnlearnLM − natural only", "-"),
            ("protocol", "hidden_chat", "UnlearnLM − natural only", "-"),
            ("protocol", "hidden_plain", "MixedLM − SynthLM", "-"),
            ("protocol", "hidden_chat", "MixedLM − SynthLM", "-"),
        ),
    ),
    Said(
        ANSWERS,
        "has a *lower* margin than the model of one, by {protocol|area|SynthLM|MixedLM} nats a "
        "token, where a run like this one detects {protocol finds} with 80% power",
        (("protocol", "area", "MixedLM − SynthLM", "-"),),
    ),
    Said(
        ANSWERS,
        "natural text alone leaves more margin, by {protocol|area|natural only|UnlearnLM} nats",
        (("protocol", "area", "UnlearnLM − natural only", "-"),),
    ),
    Said(
        ANSWERS,
        "There was no drop in instruction following to undo, and no gain is found.",
        both("following", " ".join(n for pairs in QUESTIONS.values() for n in pairs), "0"),
    ),
)


UNNAMED = {}  # (study, measure, contrast) -> why no sentence names it
COMPUTED = re.compile(r"\||    |\* \*[^*]*\?\*")  # tables, and verdicts with their question
NUMBER = re.compile(r"(?<![\w./-])[−+]?\d+\.\d+(?![\w.])%?|(?<![\w./])\d+%|\[[−\d.]+, [−\d.]+\]")


@lru_cache
def prose(page: str) -> str:
    "What a page says in its own words: no code, no tables, no addresses."
    text = (ROOT / page).read_text(encoding="utf-8")
    if page.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        shown = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
        for cell in cells:
            outputs = [o.get("data", {}) for o in cell.get("outputs", [])]
            shown += ["".join(o["text/markdown"]) for o in outputs if "text/markdown" in o]
        text = "\n\n".join(shown)
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    lines = [line for line in text.splitlines() if not COMPUTED.match(line)]
    return "\n".join(lines)


def wrong_sentences(said: tuple[Said, ...] = SAID) -> list[str]:
    "Sentences that their page does not have with these numbers, or that rest on nothing."
    found = []
    for s in said:
        if (text := fill(s.text)) not in prose(s.page):
            found.append(f"{s.page}: the records give, and the page does not say: {text!r}")
        for name, measure, contrast, wanted in s.carries:
            cell = effects(name, measure)[contrast]
            if sign(cell) != wanted:
                what = f"{name}, {measure}, {contrast}: {show_cell(cell)} is {sign(cell)}"
                found.append(f"{s.page}: {text[:60]!r} … needs {wanted}, but {what}")
    return found


def stray_numbers(said: tuple[Said, ...] = SAID) -> list[str]:
    "Numbers of the prose that belong to no sentence which is filled in here."
    found = []
    for page in dict.fromkeys(s.page for s in said):
        left = prose(page)
        for s in said:
            if s.page == page:
                left = left.replace(fill(s.text), "")
        left = re.sub(r"arXiv \S+|\[\d{4}\.\d{5}\]|-2\.0|0\.1\.0|\b(?:95|80)%", "", left)
        for m in NUMBER.finditer(left):
            near = left[max(0, m.start() - 50) : m.end() + 30].replace("\n", " ")
            found.append(f"{page}: nothing here gives {m[0]} in {near!r}")
    return found


def all_effects() -> list[tuple[str, str, str, dict]]:
    "Every difference of the recorded studies, and every planted drop."
    return (
        [
            (name, measure, contrast, cell)
            for name in STUDIES
            for measure in MEASURES
            for contrast, cell in effects(name, measure).items()
        ]
        + [
            (name, measure, dose, cell)
            for name in PLANTED
            for measure in MARGINS
            for dose, cell in effects(name, measure).items()
        ]
        + [
            ("protocol", measure, contrast, cell)
            for measure in PROTOCOL
            for contrast, cell in effects("protocol", measure).items()
        ]
    )


def unnamed(said: tuple[Said, ...] = SAID) -> list[str]:
    "Differences that stand after correction and that no sentence names."
    named = {key[:3] for s in said for key in s.carries}
    return [
        f"no sentence names {name}, {measure}, {contrast}: {show_cell(cell)}"
        for name, measure, contrast, cell in all_effects()
        if sign(cell) != "0" and not {(name, measure, contrast)} & (named | UNNAMED.keys())
    ]


def main(arguments: list[str]) -> int:
    if "--effects" in arguments:
        for name, measure, contrast, cell in all_effects():
            p = "" if cell["p"] is None else f"p {cell['p']:.4f} corrected {cell['p_holm']:.4f}"
            print(f"{sign(cell)} {name:<9}{measure:<18}{contrast:<20}{show_cell(cell):<26}{p}")
        return 0
    found = [*wrong_sentences(), *stray_numbers(), *unnamed()]
    print(*found, sep="\n", file=sys.stderr)
    print(f"{len(SAID)} sentences, {len(all_effects())} differences: {len(found)} do not agree")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
