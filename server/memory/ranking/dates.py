"""Which days a question names: "on 8 May 2023", "in July", "yesterday", "two weeks ago"."""

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta

MONTHS = tuple(name.lower() for name in calendar.month_name[1:])
NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "couple of": 2}
_LEAD = r"(?:\b(?:on|in|during|of|since|around)\s+)?(?:the\s+)?"
_MONTH = "|".join(name + (f"|{name[:3]}" if name != "may" else "") for name in MONTHS)
_NAMED = re.compile(
    rf"{_LEAD}\b(?:(?P<before>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?)?(?P<month>{_MONTH})\b\.?"
    r"(?:\s+(?P<after>\d{1,2})(?:st|nd|rd|th)?\b(?!\d))?(?:,?\s*(?P<year>(?:19|20)\d\d)\b)?",
    re.IGNORECASE,
)
_ISO = re.compile(rf"{_LEAD}\b(?P<year>(?:19|20)\d\d)-(?P<month>\d\d)-(?P<day>\d\d)\b")
_RELATIVE = re.compile(
    r"\b(?:(?P<day>today|yesterday)|last\s+(?P<last>week|month|night|weekend)"
    rf"|(?P<count>\d{{1,3}}|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})\s+(?P<unit>day|week|month)s?\s+ago)\b",
    re.IGNORECASE,
)
DAYS_IN = {"day": 1, "week": 7, "month": 30}


@dataclass(frozen=True, slots=True)
class NamedDate:
    """A date as far as it was said; `ago` and `width` in days are set for one that is relative to today."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    ago: int | None = None
    width: int = 0

    def ranges(self, first: date, last: date, today: date | None) -> list[tuple[date, date]]:
        """The days meant, inclusive, one range per year from `first` to `last` where no year was said."""
        if self.ago is not None:
            if today is None:
                return []
            start = today - timedelta(days=self.ago)
            return [(start, start + timedelta(days=self.width))]
        assert self.month is not None  # noqa: S101 - a date that is not relative names a month
        years = [self.year] if self.year else range(first.year, last.year + 1)
        found: list[tuple[date, date]] = []
        for year in years:
            length = calendar.monthrange(year, self.month)[1]
            start, end = (self.day, self.day) if self.day else (1, length)
            if start <= length:
                found.append((date(year, self.month, start), date(year, self.month, end)))
        return found


def find_dates(text: str) -> tuple[str, tuple[NamedDate, ...]]:
    """`text` without its calendar dates, and all dates found. Relative ones stay in the text: they are words too."""
    found: list[NamedDate] = []

    def named(match: re.Match[str]) -> str:
        day = match["before"] or match["after"]
        alone = not day and not match["year"]
        if alone and not match["month"][0].isupper():  # "may", "march", "august": words in lower case
            return match[0]
        if alone and len(match["month"]) == 3 and match["month"].lower() != "may":  # "Jan", "Mar": names of people
            return match[0]
        if day and not 1 <= int(day) <= 31:
            return match[0]
        month = next(i for i, name in enumerate(MONTHS, 1) if name.startswith(match["month"].lower()))
        found.append(NamedDate(int(match["year"]) if match["year"] else None, month, int(day) if day else None))
        return " "

    def iso(match: re.Match[str]) -> str:
        month, day = int(match["month"]), int(match["day"])
        if not (1 <= month <= 12 and 1 <= day <= 31):
            return match[0]
        found.append(NamedDate(int(match["year"]), month, day))
        return " "

    rest = _NAMED.sub(named, _ISO.sub(iso, text))
    for match in _RELATIVE.finditer(text):
        if match["day"]:
            found.append(NamedDate(ago=0 if match["day"].lower() == "today" else 1))
        elif match["last"]:
            span = {"week": (14, 7), "month": (61, 31), "night": (1, 0), "weekend": (9, 7)}[match["last"].lower()]
            found.append(NamedDate(ago=span[0], width=span[1]))
        else:
            count = int(match["count"]) if match["count"].isdigit() else NUMBERS[match["count"].lower()]
            unit = DAYS_IN[match["unit"].lower()]
            found.append(NamedDate(ago=count * unit + unit // 2, width=unit // 2 * 2))
    return re.sub(r"\s+([,.?!])", r"\1", re.sub(r"\s+", " ", rest)).strip(), tuple(found)
