/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
#include "wire/time.h"
#include "base/clock.h"
#include <proxyfs/driver.h>
#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Exactly n digits at s. */
static bool digits(const char *s, size_t n, int *ret)
{
    int v = 0;

    for (size_t i = 0; i < n; i++) {
        if (!is_digit(s[i])) {
            return false;
        }
        v = v * 10 + (s[i] - '0');
    }
    *ret = v;
    return true;
}

/* Days from 1970-01-01 to the given day of the proleptic Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

/* The other way: the year, month (1 to 12) and day that is so many days after 1970-01-01. */
static void date_of(int64_t days, int ret[3])
{
    int64_t since = days + 719468, era = (since >= 0 ? since : since - 146096) / 146097;
    int day = (int)(since - era * 146097); /* of the era, that is 400 years from a 1 March */
    int year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int day_of_year = day - (365 * year + year / 4 - year / 100);
    int month = (5 * day_of_year + 2) / 153; /* March is 0 */

    ret[1] = month + (month < 10 ? 3 : -9);
    ret[2] = day_of_year - (153 * month + 2) / 5 + 1;
    ret[0] = (int)(year + era * 400) + (ret[1] <= 2);
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

static bool seconds_of(int year, int month, int day, const int hms[3], int64_t *ret_s)
{
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hms[0] > 23 ||
        hms[1] > 59 || hms[2] > 59) {
        return false;
    }
    *ret_s = days_of(year, month, day) * 86400 + hms[0] * 3600 + hms[1] * 60 + hms[2];
    return true;
}

/* "Z" or "+hh:mm"; *ret_s is what to subtract. */
static bool zone(const char *s, size_t n, int64_t *ret_s)
{
    int h, m;

    if (n == 1 && (*s == 'Z' || *s == 'z')) {
        *ret_s = 0;
        return true;
    }
    if (n != 6 || (s[0] != '+' && s[0] != '-') || s[3] != ':' || !digits(s + 1, 2, &h) ||
        !digits(s + 4, 2, &m) || h > 23 || m > 59) {
        return false;
    }
    *ret_s = (s[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
    return true;
}

int64_t wire_time_parse(const char *s, size_t n)
{
    int year, month, day, hms[3];
    int64_t sec, off, frac = 0, ns;
    size_t i = 19;

    if (n < 20 || s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != 't') || s[13] != ':' ||
        s[16] != ':' || !digits(s, 4, &year) || !digits(s + 5, 2, &month) ||
        !digits(s + 8, 2, &day) || !digits(s + 11, 2, &hms[0]) || !digits(s + 14, 2, &hms[1]) ||
        !digits(s + 17, 2, &hms[2]) || !seconds_of(year, month, day, hms, &sec)) {
        return PFS_TIME_UNKNOWN;
    }
    if (s[i] == '.') {
        size_t first = ++i, n_kept;

        for (; i < n && is_digit(s[i]); i++) {
            frac = i - first < 9 ? frac * 10 + (s[i] - '0') : frac;
        }
        if (i == first) {
            return PFS_TIME_UNKNOWN;
        }
        for (n_kept = i - first; n_kept < 9; n_kept++) {
            frac *= 10;
        }
    }
    if (!zone(s + i, n - i, &off) || __builtin_mul_overflow(sec - off, PFS_SEC, &ns) ||
        __builtin_add_overflow(ns, frac, &ns)) {
        return PFS_TIME_UNKNOWN;
    }
    return ns;
}

static char *put(char *dst, int n_digits, int v)
{
    for (int i = n_digits; i-- > 0; v /= 10) {
        dst[i] = (char)('0' + v % 10);
    }
    return dst + n_digits;
}

size_t wire_time_format(int64_t ns, char dst[WIRE_TIME_MAX])
{
    if (ns == PFS_TIME_UNKNOWN) {
        return (size_t)snprintf(dst, WIRE_TIME_MAX, "0001-01-01T00:00:00Z");
    }
    const int64_t day_ns = 86400 * PFS_SEC;
    int64_t days = ns / day_ns, rest = ns % day_ns;

    if (rest < 0) {
        rest += day_ns;
        days--;
    }
    int sec = (int)(rest / PFS_SEC), frac = (int)(rest % PFS_SEC), date[3];

    date_of(days, date);
    char *p = put(dst, 4, date[0]);

    *p++ = '-';
    p = put(p, 2, date[1]);
    *p++ = '-';
    p = put(p, 2, date[2]);
    *p++ = 'T';
    p = put(p, 2, sec / 3600);
    *p++ = ':';
    p = put(p, 2, sec / 60 % 60);
    *p++ = ':';
    p = put(p, 2, sec % 60);
    if (frac) {
        *p++ = '.';
        p = put(p, 9, frac);
        while (p[-1] == '0') {
            p--;
        }
    }
    *p++ = 'Z';
    *p = '\0';
    return (size_t)(p - dst);
}

bool wire_http_date_parse(const char *s, int64_t *ret_s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int day, year, hms[3];

    if (strlen(s) != 29 || s[3] != ',' || strcmp(s + 25, " GMT") != 0 || s[19] != ':' ||
        s[22] != ':' || !digits(s + 5, 2, &day) || !digits(s + 12, 4, &year) ||
        !digits(s + 17, 2, &hms[0]) || !digits(s + 20, 2, &hms[1]) || !digits(s + 23, 2, &hms[2])) {
        return false;
    }
    for (int m = 1; m <= 12; m++) {
        if (memcmp(s + 8, months + 3 * (m - 1), 3) == 0) {
            return seconds_of(year, m, day, hms, ret_s);
        }
    }
    return false;
}
