/* Dates as HTTP writes them, "Sun, 06 Nov 1994 08:49:37 GMT": independent of the locale, and cheap. */
#include "adapter/http/media.h"

static const char days[] = "ThuFriSatSunMonTueWed", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static void two(char *out, int n)
{
    out[0] = (char)('0' + n / 10 % 10);
    out[1] = (char)('0' + n % 10);
}

/* Days since 1970 to a date of the Gregorian calendar, counted in years that begin in March. */
static void civil(int64_t day, int *year, int *month, int *mday)
{
    int64_t z = day + 719468, era = z / 146097, doe = z % 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *mday = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

void date_print(char out[DATE_LEN + 1], int64_t seconds)
{
    int64_t day, rest;
    int year, month, mday;

    if (seconds < 0) seconds = 0;
    if (seconds > 253402300799) seconds = 253402300799; /* the end of year 9999 */
    day = seconds / 86400;
    rest = seconds % 86400;
    civil(day, &year, &month, &mday);
    memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", DATE_LEN + 1);
    memcpy(out, days + day % 7 * 3, 3);
    two(out + 5, mday);
    memcpy(out + 8, months + (month - 1) * 3, 3);
    two(out + 12, year / 100);
    two(out + 14, year);
    two(out + 17, (int)(rest / 3600));
    two(out + 20, (int)(rest / 60 % 60));
    two(out + 23, (int)(rest % 60));
}

static int digits(const char *p, int count)
{
    int n = 0;

    for (int i = 0; i < count; i++) {
        if (p[i] < '0' || p[i] > '9') return -1;
        n = n * 10 + p[i] - '0';
    }
    return n;
}

bool date_read(text t, int64_t *seconds)
{
    int mday, year, h, m, s, month = 0;
    int64_t y, era, yoe, doy;

    if (t.len != DATE_LEN || memcmp(t.p + 25, " GMT", 4) != 0 || t.p[3] != ',' || t.p[19] != ':' || t.p[22] != ':') return false;
    mday = digits(t.p + 5, 2);
    year = digits(t.p + 12, 4);
    h = digits(t.p + 17, 2);
    m = digits(t.p + 20, 2);
    s = digits(t.p + 23, 2);
    while (month < 12 && memcmp(t.p + 8, months + month * 3, 3) != 0) month++;
    if (month == 12 || mday < 1 || mday > 31 || year < 1970 || h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60) return false;
    month++;
    y = year - (month <= 2);
    era = y / 400;
    yoe = y - era * 400;
    doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + mday - 1;
    *seconds = (era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468) * 86400 + h * 3600 + m * 60 + s;
    return true;
}
