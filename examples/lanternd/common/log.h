/* The log: lines to a file descriptor, and the last ones kept in memory. */
#ifndef LANTERN_COMMON_LOG_H
#define LANTERN_COMMON_LOG_H

#include "common/ring.h"

enum log_level {
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARNING,
	LOG_ERROR,
};

struct log {
	int fd;               /* -1: memory only */
	enum log_level level; /* what is below it is dropped */
	const char *program;
	struct ring recent;   /* each record: a line without its newline */
};

void log_init(struct log *log, const char *program, int fd, size_t recent_size);
void log_free(struct log *log);

/* Control characters in the text become '?': one call is one line. */
void log_add(struct log *log, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

const char *log_level_name(enum log_level level);
bool log_level_parse(const char *name, enum log_level *level);

#endif
