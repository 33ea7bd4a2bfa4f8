/* Times of the day, in minutes since midnight. */
#ifndef LANTERN_PLUGINS_CLOCKTIME_H
#define LANTERN_PLUGINS_CLOCKTIME_H

#include <stdbool.h>

#define CLOCKTIME_DAY (24 * 60)

/* "HH:MM", 00:00 to 23:59. */
bool clocktime_parse(const char *text, int *minutes);

/* Minutes from NOW to the next AT; 0 if that is now. */
int clocktime_until(int now, int at);

/* Is AT within [from, to)? The span may pass midnight; from == to is empty. */
bool clocktime_within(int at, int from, int to);

#endif
