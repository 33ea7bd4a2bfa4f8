#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"debug", "info", "warning", "error"};

void log_init(struct log *log, const char *program, int fd, size_t recent_size)
{
	log->fd = fd;
	log->level = LOG_INFO;
	log->program = program;
	ring_init(&log->recent, recent_size);
}

void log_free(struct log *log)
{
	ring_free(&log->recent);
}

void log_add(struct log *log, enum log_level level, const char *fmt, ...)
{
	char line[1024];
	size_t len, i;
	va_list ap;
	int n;

	if (level < log->level)
		return;
	n = snprintf(line, sizeof(line) - 1, "%s: %s: ", log->program,
		     names[level]);
	len = n < 0 ? 0 : (size_t)n;
	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - 1 - len, fmt, ap);
	va_end(ap);
	len += n < 0 ? 0 : (size_t)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	for (i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	ring_push(&log->recent, line, len);
	line[len++] = '\n';
	/* A log that cannot be written is no reason to stop. */
	if (log->fd >= 0 && write(log->fd, line, len) < 0)
		log->recent.dropped++;
}

const char *log_level_name(enum log_level level)
{
	return names[level];
}

bool log_level_parse(const char *name, enum log_level *level)
{
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i], name) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}
