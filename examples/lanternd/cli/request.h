/* From words on a command line to a request, and from an answer to a text. */
#ifndef LANTERN_CLI_REQUEST_H
#define LANTERN_CLI_REQUEST_H

#include "common/json.h"
#include "common/strbuf.h"

/*
 * WORDS are KEY=VALUE, or one JSON object. A value that is JSON is passed on
 * as it is, anything else as a string. False and a reason in ERR otherwise.
 */
bool request_build(const char *method, char **words, size_t n_words,
		   struct strbuf *out, struct strbuf *err);

/* With line breaks and an indentation of two blanks. */
void request_pretty(const struct json *value, struct strbuf *out);

#endif
