/* What happened lately: wire messages (wire/event_wire.csv) in a ring. */
#ifndef LANTERN_LANTERND_EVENTS_H
#define LANTERN_LANTERND_EVENTS_H

#include "common/json_write.h"
#include "common/ring.h"
#include "common/vec.h"

struct events {
	struct ring ring;
};

void events_init(struct events *e, size_t size);
void events_free(struct events *e);

/* TIME is in seconds since 1970. */
void events_started(struct events *e, uint64_t time, const char *version,
		    uint32_t pid);
void events_lamp(struct events *e, uint64_t time, char action,
		 const char *name);
void events_plugin(struct events *e, uint64_t time, const char *name,
		   const char *state, const struct vec *methods);
void events_refused(struct events *e, uint64_t time, uint64_t client,
		    const char *reason);

/* An array of objects, oldest first. */
void events_write(const struct events *e, struct json_writer *w,
		  const char *key);

#endif
