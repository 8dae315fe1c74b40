"""Dates as commands write them (RFC 3501 §9, date and date-time); years 1 to 9999."""

from libc.stdint cimport uint8_t

cdef enum:
    DATE_SIZE = 11              # "dd-Mmm-yyyy"
    DATE_TIME_SIZE = 26         # "dd-Mmm-yyyy hh:mm:ss +hhmm"
    NO_DAY = -1000000000        # before any date, in days and in seconds


cdef inline int digits(const uint8_t *at) noexcept nogil:
    """Return the number of two digits, -1000 when they are none."""
    cdef int tens = at[0] - 48
    cdef int ones = at[1] - 48
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else -1000


cdef inline int month_of(const uint8_t *at) noexcept nogil:
    """Return 1 to 12 for the three letters of a month in any case, 0 for anything else."""
    cdef const char *months = b"JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"
    cdef int month
    for month in range(12):
        if (
            (at[0] & 0xDF) == <uint8_t> months[month * 3]
            and (at[1] & 0xDF) == <uint8_t> months[month * 3 + 1]
            and (at[2] & 0xDF) == <uint8_t> months[month * 3 + 2]
        ):
            return month + 1
    return 0


cdef inline int month_length(int year, int month) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef inline long long days_to(int year, int month, int day) noexcept nogil:
    """Return the days from 1970-01-01 in the Gregorian calendar."""
    cdef long long era_year = year - (month <= 2)
    cdef long long shifted = (month + 9) % 12
    return (
        era_year * 365 + era_year // 4 - era_year // 100 + era_year // 400
        + (shifted * 153 + 2) // 5 + day - 1 - 719468
    )


cdef inline long long parse_day(const uint8_t *at, size_t size) noexcept nogil:
    """Return the days from 1970-01-01 of "dd-Mmm-yyyy", NO_DAY when it is none.

    A space may stand for the first digit of the day.
    """
    cdef int day, month, year
    if size != DATE_SIZE or at[2] != b'-' or at[6] != b'-':
        return NO_DAY
    day = at[1] - 48 if at[0] == 32 else digits(at)
    month = month_of(at + 3)
    year = digits(at + 7) * 100 + digits(at + 9)
    if year < 1 or month == 0 or day < 1 or day > month_length(year, month):
        return NO_DAY
    return days_to(year, month, day)


cdef inline long long parse_date_time(const uint8_t *at) noexcept nogil:
    """Return the seconds from 1970, UTC, of DATE_TIME_SIZE octets; NO_DAY when they are none."""
    cdef long long day = parse_day(at, DATE_SIZE)
    cdef int hour = digits(at + 12)
    cdef int minute = digits(at + 15)
    cdef int second = digits(at + 18)
    cdef int east_hours = digits(at + 22)
    cdef int east_minutes = digits(at + 24)
    if day == NO_DAY or at[11] != 32 or at[14] != b':' or at[17] != b':' or at[20] != 32:
        return NO_DAY
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60):
        return NO_DAY
    if (at[21] != b'+' and at[21] != b'-') or east_hours < 0 or not 0 <= east_minutes < 60:
        return NO_DAY
    return day * 86400 + hour * 3600 + minute * 60 + second - (
        (east_hours * 3600 + east_minutes * 60) * (1 if at[21] == b'+' else -1)
    )
