"""Find identifiers in prose: patterns for candidates, checksums and number plans to decide on them.

All patterns work on folded text (`folding.fold`): lower case, plain digits and dashes. None of them can take more than
linear time: a candidate starts only where its kind of character begins.
"""

from __future__ import annotations

import importlib
import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache

from pydp_cli.transforms.folding import Folded, fold

# In this order: what one kind has found is not looked at by the next.
KINDS = ("url", "email", "iban", "national_id", "card", "ip", "date", "phone")

# Rows without any of these hold nothing that the patterns could find (RE2, on text as it is).
CANDIDATE = (
    r"[@\x{FF20}\x{FE6B}\p{Nd}\p{No}]|://|::|(?i:www\.)|(?i:[(\[{] ?at ?[)\]}])"
    r"|[\x{FF00}-\x{FFEF}\x{1D400}-\x{1D7FF}\x{200B}-\x{200F}\x{2060}\x{FEFF}\x{00AD}]"
)

_URL = re.compile(r"(?<![a-z0-9])(?:(?:https?|ftps?|sftp|ssh)://|www\.(?=\w))[^\s<>\"'\u00bb\u201c\u201d]+")
_AT = r"(?:@|\s*[(\[{]\s*(?:at|@)\s*[)\]}]\s*)"
_DOT = r"(?:\.|\s*[(\[{]\s*(?:dot|punkt|point|punto)\s*[)\]}]\s*)"
_EMAIL = re.compile(
    rf"(?<![\w.+%&'*/=?^`|~!#$-])(?P<local>[\w+%&'*/=?^`|~!#$.-]+){_AT}(?P<host>[\w-]+(?:{_DOT}[\w-]+)*)"
)
_DOTTED = re.compile(_DOT)
_IBAN = re.compile(r"(?<![a-z0-9])[a-z]{2}[ -]?\d{2}(?:[ .-]?[a-z0-9]){11,30}")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){11,18}(?![\w-]|\.\d)")
_CARD_RANGES = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[689]\d)\d{11,16}|(?:6011|64[4-9]\d|65\d{2}|62\d{2})\d{12,15}|35\d{14}"
    r"|(?:50[123]\d|5[6-8]\d{2}|6304|67\d{2})\d{8,15}"
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9a-f:.]*:[0-9a-f:.]*:)[0-9a-f:.]*[0-9a-f:](?:%\w+)?(?![\w])")
_VERSION_BEFORE = re.compile(r"(?:\bv\.?|\bversion|\bver\.?|\brelease|\bbuild|\bfirmware|\bversie|\bwersja)[ :]*$")
_NUMBER_BEFORE = re.compile(
    r"(?:\border|\bauftrag\w*|\bbestell\w*|\binvoice|\brechnung\w*|\bfacture|\bcommande|\bpedido|\bfactura|\bticket|\bcase"
    r"|\bvorgang\w*|\bartikel\w*|\bitem|\bsku|\bisbn|\bserial|\bseriennummer|\bref\w*|\btracking|\bsendung\w*|\bpart"
    r"|\bfattura|\bordine|\bzamowieni\w*|\bbestelling\w*|\bversion)"
    r"(?:[ -]?(?:no|nr|number|nummer|id|num|numero|n)\b)?[ .:#-]*(?:is |ist |=)?[ ]*[a-z#]{0,4}[ -]?$"
)
_PHONE_BEFORE = re.compile(
    r"(?:\btel\w*|\bphone|\bfon|\bmobil\w*|\bhandy\w*|\bcall\b|\bfax|\bcell|\bmovil|\bportable|\w*ruf\w*|\bcellulare"
    r"|\b\w*telefon\w*|\bwhatsapp|\bsms|\bnumero|\breach \w+|\berreichbar|\brappel\w*|\bbel \w+|\bring \w+|\bchiami)"
    r"[^\d;?!\n]{0,14}$"
)
_IBAN_BEFORE = re.compile(r"\biban[ .:#-]*$")
_PHONE = re.compile(
    r"(?<![\w+.,-])(?:\+|\(\+?|00)?[ ]?\d(?:[ ().\-/]{0,3}\d){5,16}(?P<extension> ?(?:x|ext\.?) ?\d{1,6})?"
    r"(?![\w]|[.,]\d)"
)
_OPTIONAL_TRUNK_ZERO = frozenset({"BR"})
_LIKE_A_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}")
_GROUPED = re.compile(r"\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}|0\d{1,5}[)]?[ /.-]{1,3}\d[\d /.-]{4,}|\(0\d{1,5}\).*")

_MONTHS = (
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sep sept oct nov dec "
    "januar februar marz maerz april mai juni juli oktober dezember okt dez "
    "janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre "
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre "
    "gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre "
    "januari februari maart mei augustus "
    "janeiro fevereiro marco maio junho julho setembro outubro novembro dezembro "
    "stycznia lutego marca kwietnia maja czerwca lipca sierpnia wrzesnia pazdziernika listopada grudnia "
    "maj oktober augusti"
)
_MONTH = "(?:" + "|".join(sorted(set(_MONTHS.split()), key=lambda word: (-len(word), word))) + ")"
_LONG_MONTHS = sorted({word for word in _MONTHS.split() if len(word) > 4}, key=lambda word: (-len(word), word))
_CLEAR_MONTH = f"(?:{'|'.join(_LONG_MONTHS)})"  # those that are hardly another word
_DAY = r"(?<![\w.,-])(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th|er|\.)?"
_DATE = re.compile(
    r"(?<![\w.-])(?P<y1>(?:1[89]|20|21)\d{2})(?P<s1>[-/.])(?P<m1>\d{1,2})(?P=s1)(?P<d1>\d{1,2})(?![\d]|[-/.]\d)"
    r"|(?<![\w.,/-])(?P<d2>\d{1,2})(?P<s2>[-/.])[ ]?(?P<m2>\d{1,2})(?P=s2)[ ]?(?P<y2>(?:1[89]|20|21)\d{2}|\d{2})"
    r"(?![\w]|[-/.]\d)"
    r"|(?<!\d)(?P<y3>\d{4})\u5e74(?P<m3>\d{1,2})\u6708(?P<d3>\d{1,2})\u65e5"
    rf"|{_DAY}(?: de| of|-)? ?{_MONTH}\.?(?: de| del|,|-)? ?(?:1[89]|20|21)\d{{2}}(?!\d)"
    rf"|(?<!\w){_MONTH}\.? (?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?,? (?:1[89]|20|21)\d{{2}}(?!\d)"
    rf"|{_DAY}(?: de| of)? {_CLEAR_MONTH}(?!\w)"
    rf"|(?<!\w){_CLEAR_MONTH} (?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)(?!\w)"
)

# Country: the modules of python-stdnum, and how people write the number.
NATIONAL_IDS: dict[str, tuple[tuple[str, str], ...]] = {
    "AT": (("at.vnr", r"\d{4} ?\d{6}"),),
    "AU": (("au.tfn", r"\d{3} ?\d{3} ?\d{3}"),),
    "BE": (("be.nn", r"\d{2}\.?\d{2}\.?\d{2}[ -]?\d{3}[. ]?\d{2}"),),
    "BR": (("br.cpf", r"\d{3}\.?\d{3}\.?\d{3}-?\d{2}"),),
    "CA": (("ca.sin", r"\d{3}[ -]?\d{3}[ -]?\d{3}"),),
    "CH": (("ch.ssn", r"756\.?\d{4}\.?\d{4}\.?\d{2}"),),
    "CN": (("cn.ric", r"\d{17}[\dx]"),),
    "DE": (("de.idnr", r"\d{2} ?\d{3} ?\d{3} ?\d{3}"),),
    "DK": (("dk.cpr", r"\d{6}[ -]?\d{4}"),),
    "ES": (("es.dni", r"\d{8}[ -]?[a-z]"), ("es.nie", r"[xyz][ -]?\d{7}[ -]?[a-z]")),
    "FI": (("fi.hetu", r"\d{6}[-+a]\d{3}[0-9a-y]"),),
    "FR": (("fr.nir", r"[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[ab]) ?\d{3} ?\d{3} ?\d{2}"),),
    "GB": (("gb.nhs", r"\d{3}[ -]?\d{3}[ -]?\d{4}"), ("", r"[a-ceghj-prstw-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[a-d]")),
    "IN": (("in_.aadhaar", r"\d{4} ?\d{4} ?\d{4}"),),
    "IT": (("it.codicefiscale", r"[a-z]{6} ?\d{2}[a-z]\d{2} ?[a-z]\d{3} ?[a-z]"),),
    "NL": (("nl.bsn", r"\d{9}|\d{4}\.\d{2}\.\d{3}"),),
    "NO": (("no.fodselsnummer", r"\d{6} ?\d{5}"),),
    "PL": (("pl.pesel", r"\d{11}"),),
    "SE": (("se.personnummer", r"(?:\d{2})?\d{6}[-+]?\d{4}"),),
    "US": (("us.ssn", r"\d{3}-\d{2}-\d{4}"),),
}


@dataclass(frozen=True, order=True)
class Span:
    """A found identifier: characters `start` up to `end` of a text, and its kind."""

    start: int
    end: int
    kind: str


def find(text: str, kinds: tuple[str, ...] = KINDS, countries: tuple[str, ...] = ()) -> list[Span]:
    """Find identifiers of the given kinds in a text, in their order and without overlaps.

    Phone numbers without an international prefix, and national ids, are those of `countries`.
    """
    return find_folded(fold(text), kinds, countries)


def find_folded(folded: Folded, kinds: tuple[str, ...], countries: tuple[str, ...]) -> list[Span]:
    """Find identifiers in a folded text; positions are those of its source."""
    left = folded.text
    found: list[Span] = []
    for kind in KINDS:
        if kind not in kinds:
            continue
        places = sorted(set(_FINDERS[kind](left, countries)))
        found += [Span(*folded.span(start, end), kind) for start, end in places]
        left = _blanked(left, places)
    return disjoint(found)


def disjoint(spans: list[Span]) -> list[Span]:
    """Put spans in their order and unite those that overlap; the longest gives its kind."""
    united: list[Span] = []
    for span in sorted(spans):
        if united and span.start < united[-1].end:
            last = united[-1]
            kind = last.kind if last.end - last.start >= span.end - span.start else span.kind
            united[-1] = Span(last.start, max(last.end, span.end), kind)
        else:
            united.append(span)
    return united


def _blanked(text: str, places: list[tuple[int, int]]) -> str:
    pieces: list[str] = []
    done = 0
    for start, end in places:
        if end > done:
            first = max(start, done)
            pieces += [text[done:first], "\0" * (end - first)]
            done = end
    return "".join([*pieces, text[done:]])


def _urls(text: str, _countries: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    for match in _URL.finditer(text):
        url = match[0].rstrip(".,;:!?*_")
        while url.endswith((")", "]", "}")) and url.count(url[-1]) > url.count({")": "(", "]": "[", "}": "{"}[url[-1]]):
            url = url[:-1].rstrip(".,;:!?*_")
        yield match.start(), match.start() + len(url)


def _emails(text: str, _countries: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    if "@" not in text and "at" not in text:
        return
    for match in _EMAIL.finditer(text):
        start = match.end("local") - len(match["local"].lstrip(".'*/=?"))
        end = match.start() + len(match[0].rstrip("-_"))
        if start < match.end("local") and _DOTTED.search(match["host"]):
            yield start, end


def _ibans(text: str, _countries: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        places = [place for place in range(match.start(), match.end()) if text[place].isalnum()]
        compact = "".join(text[place] for place in places)
        length = _iban_length(compact[:2])
        if not 15 <= length <= len(compact):
            continue
        number, end = compact[:length], places[length - 1] + 1
        if end < len(text) and text[end].isalnum():
            continue
        numeric = "".join(str(int(character, 36)) for character in number[4:] + number[:4])
        if int(numeric) % 97 == 1 or _IBAN_BEFORE.search(text, 0, match.start()):
            yield match.start(), end


@cache
def _iban_length(country: str) -> int:
    from stdnum import numdb

    for _prefix, info in numdb.get("iban").info(country.upper()):
        if "bban" in info:
            return 4 + sum(int(count) for count in re.findall(r"(\d+)!?", info["bban"]))
    return 0


def _national_ids(text: str, countries: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    for country in countries:
        for pattern, is_valid in _national(country):
            for match in pattern.finditer(text):
                if is_valid(match[0]):
                    yield match.span()


@cache
def _national(country: str) -> list[tuple[re.Pattern[str], Callable[[str], bool]]]:
    return [
        (
            re.compile(rf"(?<![\w.+-])(?:{pattern})(?![\w]|[-.]\w)"),
            importlib.import_module(f"stdnum.{module}").is_valid if module else lambda _number: True,
        )
        for module, pattern in NATIONAL_IDS.get(country, ())
    ]


def _cards(text: str, _countries: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if _CARD_RANGES.fullmatch(digits) and _luhn(digits):
            yield match.span()


def _luhn(digits: str) -> bool:
    doubled = "0246813579"
    total = sum(int(digit if place % 2 == 0 else doubled[int(digit)]) for place, digit in enumerate(reversed(digits)))
    return total % 10 == 0


def _ips(text: str, _countries: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    for pattern, version in ((_IPV4, 4), (_IPV6, 6)):
        for match in pattern.finditer(text):
            address = match[0].rstrip(".") if version == 6 else match[0]
            if version == 6 and address.endswith(":") and not address.endswith("::"):
                address = address.rstrip(":")
            if version == 6 and not (re.search(r"\d", address) or address.count(":") > 3):
                continue  # a::b is a name in a program more often than an address
            if _is_address(address, version) and not _VERSION_BEFORE.search(text, 0, match.start()):
                yield match.start(), match.start() + len(address)


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _dates(text: str, _countries: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    for match in _DATE.finditer(text):
        for style in "123":
            year, month, day = (match[part + style] for part in "ymd")
            if year is not None and not _is_date(year, month, day):
                break
        else:
            if not _VERSION_BEFORE.search(text, 0, match.start()):
                yield match.span()


def _is_date(year: str, month: str, day: str) -> bool:
    years = int(year) + (2000 if len(year) == 2 else 0)
    for months, days in ((int(month), int(day)), (int(day), int(month))):
        try:
            date(years, months, days)
        except ValueError:
            continue
        return True
    return False


def address_of(written: str) -> str:
    """Give the e-mail address that is meant by `ada (at) example (dot) com`."""
    return re.sub(_DOT, ".", re.sub(_AT, "@", written, flags=re.IGNORECASE), flags=re.IGNORECASE)


def _phones(text: str, countries: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    for match in _PHONE.finditer(text):
        start = match.end() - len(match[0].lstrip())
        number = text[start : match.end() if match["extension"] is None else match.start("extension")]
        digits = re.sub(r"\D", "", number)
        if (
            not 6 <= len(digits) <= 16
            or _LIKE_A_DATE.fullmatch(number)
            or _NUMBER_BEFORE.search(text[max(0, start - 60) : start])
        ):
            continue
        if _is_phone(number, digits, countries) or _PHONE_BEFORE.search(text[max(0, start - 40) : start]):
            yield start, match.end()


def _is_phone(number: str, digits: str, countries: tuple[str, ...]) -> bool:
    import phonenumbers

    international = number.lstrip("( ").startswith("+") or digits.startswith("00")
    written = f"+{digits.lstrip('0') if digits.startswith('00') else digits}" if international else digits
    for region in (None,) if international else countries:
        if region is not None and _has_trunk_zero(region) and not digits.startswith("0"):
            continue  # without it any number in a text could be one
        try:
            parsed = phonenumbers.parse(written, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(parsed) if international else phonenumbers.is_valid_number(parsed):
            return True
    return not international and _GROUPED.fullmatch(number) is not None and len(digits) >= 7


@cache
def _has_trunk_zero(region: str) -> bool:
    import phonenumbers

    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    return metadata is not None and metadata.national_prefix == "0" and region not in _OPTIONAL_TRUNK_ZERO


_FINDERS: dict[str, Callable[[str, tuple[str, ...]], Iterator[tuple[int, int]]]] = {
    "url": _urls,
    "email": _emails,
    "iban": _ibans,
    "national_id": _national_ids,
    "card": _cards,
    "ip": _ips,
    "date": _dates,
    "phone": _phones,
}
