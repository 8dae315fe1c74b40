"""The From_ line that begins each message of an mbox: "From ", a sender, a date as asctime(3).

No standard has fixed it. What is taken for one has a time of day between a weekday, month and
day before it, and a year behind it, with or without a zone on either side of the year; or a date
as mail headers have it. A line of text that begins with "From " has neither.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcmp, memset

cdef extern from "time.h":
    struct tm:
        int tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year, tm_isdst
    ctypedef long time_t
    time_t mktime(tm* when) nogil
    time_t timegm(tm* when) nogil

cdef extern from *:
    """
    static const char pm_months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const char pm_days[] = "SunMonTueWedThuFriSat";
    static const struct {const char *name; int hours;} pm_zones[] = {
        {"UT", 0}, {"UTC", 0}, {"GMT", 0}, {"Z", 0}, {"WET", 0}, {"WEST", 1}, {"BST", 1},
        {"CET", 1}, {"CEST", 2}, {"MET", 1}, {"MEST", 2}, {"EET", 2}, {"EEST", 3}, {"MSK", 3},
        {"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6},
        {"PST", -8}, {"PDT", -7}, {"JST", 9}, {0, 0}};
    """
    const char* pm_months
    const char* pm_days
    struct Zone "pm_zones[0]":
        const char* name
        int hours
    const Zone[24] pm_zones

cdef struct Token:
    Py_ssize_t start, end


cdef inline bint _digit(unsigned char octet) noexcept nogil:
    return c"0" <= octet <= c"9"


cdef int _number(const unsigned char* line, Token token) noexcept nogil:
    """A number of at most four digits, -1 where it is none."""
    cdef int value = 0
    cdef Py_ssize_t place
    if not 1 <= token.end - token.start <= 4:
        return -1
    for place in range(token.start, token.end):
        if not _digit(line[place]):
            return -1
        value = value * 10 + line[place] - c"0"
    return value


cdef int _name(const unsigned char* line, Token token, const char* names, int count) noexcept nogil:
    """The place of a word of three letters among ``names``, -1 where it is none of them."""
    cdef int place
    if token.end - token.start == 3:
        for place in range(count):
            if memcmp(line + token.start, names + 3 * place, 3) == 0:
                return place
    return -1


cdef Token _before(const unsigned char* line, Py_ssize_t end) noexcept nogil:
    """The word that ends before ``end``; it is empty where there is none behind "From "."""
    cdef Token token
    while end > 5 and line[end - 1] in (c" ", c"\t"):
        end -= 1
    token.end = token.start = end
    while token.start > 5 and line[token.start - 1] not in (c" ", c"\t"):
        token.start -= 1
    return token


cdef Token _behind(const unsigned char* line, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    cdef Token token
    while start < end and line[start] in (c" ", c"\t"):
        start += 1
    token.start = token.end = start
    while token.end < end and line[token.end] not in (c" ", c"\t"):
        token.end += 1
    return token


cdef int _year(int number, Py_ssize_t digits) noexcept nogil:
    if digits == 4:
        return number
    return -1 if digits != 2 or number < 0 else number + (1900 if number >= 70 else 2000)


cdef bint _date(const unsigned char* line, Py_ssize_t time, From* found) noexcept nogil:
    """Read what stands before the time of day: "Wed Dec  2", or "Wed, 2 Dec 1992"."""
    cdef Token last = _before(line, time), middle = _before(line, last.start)
    cdef Token first = _before(line, middle.start)
    found.year = -1
    found.day = _number(line, last)
    found.month = _name(line, middle, pm_months, 12)
    if found.month < 0:
        return False
    if found.day > 31 or last.end - last.start > 2:
        found.year = _year(found.day, last.end - last.start)
        found.day = _number(line, first)
        found.sender = first.start
        first = _before(line, first.start)
        if first.end - first.start == 4 and line[first.end - 1] == c",":
            found.sender = first.start
        return found.year >= 0 and 1 <= found.day <= 31
    found.sender = first.start
    return _name(line, first, pm_days, 7) >= 0 and found.day >= 1


cdef bint _offset(const unsigned char* line, Token token, From* found) noexcept nogil:
    """Read a zone as "+0200"."""
    cdef Token digits = token
    cdef int value
    if token.end - token.start != 5 or line[token.start] not in (c"+", c"-"):
        return False
    digits.start += 1
    value = _number(line, digits)
    if value < 0:
        return False
    found.zone = (value // 100 * 60 + value % 100) * 60
    if line[token.start] == c"-":
        found.zone = -found.zone
    found.local = False
    return True


cdef bint _zone(const unsigned char* line, Token token, From* found) noexcept nogil:
    """Read a zone by its name; one that is not known stands for the time of this host."""
    cdef Py_ssize_t place, length = token.end - token.start
    cdef int known = 0
    if not 1 <= length <= 5:
        return False
    for place in range(token.start, token.end):
        if not c"A" <= line[place] <= c"Z":
            return False
    while pm_zones[known].name != NULL:
        if (memcmp(line + token.start, pm_zones[known].name, length) == 0
                and pm_zones[known].name[length] == 0):
            found.zone = pm_zones[known].hours * 3600
            found.local = False
        known += 1
    return True


cdef bint _rest(const unsigned char* line, Py_ssize_t start, Py_ssize_t end, From* found) noexcept nogil:
    """Read what stands behind the time of day: a year, zones, "remote from" a host of UUCP."""
    cdef Token token = _behind(line, start, end)
    cdef int number
    while token.start < token.end:
        number = _number(line, token)
        if number >= 0 and found.year < 0:
            found.year = _year(number, token.end - token.start)
            if found.year < 0:
                return False
        elif token.end - token.start == 6 and memcmp(line + token.start, b"remote", 6) == 0:
            return found.year >= 0
        elif not _offset(line, token, found) and not _zone(line, token, found):
            return False
        token = _behind(line, token.end, end)
    return found.year >= 0


cdef Py_ssize_t _clock(const unsigned char* line, Py_ssize_t colon, Py_ssize_t end, From* found) noexcept nogil:
    """Read the time of day around a colon; returns where it begins, 0 where there is none."""
    cdef Py_ssize_t start = colon - 1
    if colon + 2 >= end or not (_digit(line[colon - 1]) and _digit(line[colon + 1])
                                and _digit(line[colon + 2])):
        return 0
    found.hour = line[colon - 1] - c"0"
    if _digit(line[colon - 2]):
        start -= 1
        found.hour += 10 * (line[start] - c"0")
    found.minute = 10 * (line[colon + 1] - c"0") + line[colon + 2] - c"0"
    return start if line[start - 1] in (c" ", c"\t") else 0


cdef bint from_line(const unsigned char* line, Py_ssize_t length, From* found) noexcept nogil:
    """Say whether a line begins a message. ``length`` counts its end, if it has one."""
    cdef Py_ssize_t colon, start, behind
    if length > LONGEST_FROM or length < 20 or memcmp(line, b"From ", 5) != 0:
        return False
    while length > 5 and line[length - 1] in (c"\n", c"\r", c" ", c"\t"):
        length -= 1
    for colon in range(length - 3, 10, -1):
        if line[colon] != c":":
            continue
        memset(found, 0, sizeof(From))
        found.local = True
        start = _clock(line, colon, length, found)
        if start == 0 or not _date(line, start, found):
            continue
        behind = colon + 3
        if behind + 2 < length and line[behind] == c":" and _digit(line[behind + 1]) and _digit(line[behind + 2]):
            found.second = 10 * (line[behind + 1] - c"0") + line[behind + 2] - c"0"
            behind += 3
        return ((behind == length or line[behind] in (c" ", c"\t"))
                and _rest(line, behind, length, found))
    return False


cdef int64_t from_time(const From* found) noexcept nogil:
    """The seconds since 1970 of a From_ line; without a zone, of this host's."""
    cdef tm when
    memset(&when, 0, sizeof(when))
    when.tm_year = found.year - 1900
    when.tm_mon = found.month
    when.tm_mday = found.day
    when.tm_hour = found.hour
    when.tm_min = found.minute
    when.tm_sec = found.second
    when.tm_isdst = -1
    if found.local:
        return mktime(&when)
    return timegm(&when) - found.zone


def parse_from(bytes line):
    """Return (seconds since 1970, sender) of a From_ line, None where it is none."""
    cdef From found
    if not from_line(line, len(line), &found):
        return None
    return from_time(&found), line[5:found.sender].strip()
