#include "plugins/clocktime.h"

#include <string.h>

static bool two_digits(const char *s, int *value)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return false;
	*value = (s[0] - '0') * 10 + (s[1] - '0');
	return true;
}

bool clocktime_parse(const char *text, int *minutes)
{
	int hour, minute;

	if (strlen(text) != 5 || text[2] != ':' || !two_digits(text, &hour) ||
	    !two_digits(text + 3, &minute) || hour > 23 || minute > 59)
		return false;
	*minutes = hour * 60 + minute;
	return true;
}

int clocktime_until(int now, int at)
{
	return (at - now + CLOCKTIME_DAY) % CLOCKTIME_DAY;
}

bool clocktime_within(int at, int from, int to)
{
	return clocktime_until(from, at) < clocktime_until(from, to);
}
