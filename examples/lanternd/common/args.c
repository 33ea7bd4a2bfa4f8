#include "common/args.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct arg_option *find(const struct arg_option *options,
				     const char *name, size_t len)
{
	for (; options->name; options++)
		if (strlen(options->name) == len &&
		    memcmp(options->name, name, len) == 0)
			return options;
	return NULL;
}

static bool parse_number(const char *text, uint64_t *out)
{
	unsigned long long number;
	char *end;

	/* strtoull accepts blanks and signs; an option does not. */
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0')
		return false;
	*out = number;
	return true;
}

static bool store(const struct arg_option *option, const char *value,
		  struct strbuf *err)
{
	uint64_t number;

	switch (option->kind) {
	case ARG_FLAG:
		*(bool *)option->dest = true;
		return true;
	case ARG_STRING:
		*(const char **)option->dest = value;
		return true;
	case ARG_NUMBER:
		if (!parse_number(value, &number) || number < option->min ||
		    number > option->max) {
			strbuf_addf(err, "--%s: expected a number from %" PRIu64
				    " to %" PRIu64 ", not '%s'",
				    option->name, option->min, option->max,
				    value);
			return false;
		}
		*(uint64_t *)option->dest = number;
		return true;
	}
	return false;
}

int args_parse(int argc, char **argv, const struct arg_option *options,
	       struct strbuf *err)
{
	int i;

	for (i = 1; i < argc; i++) {
		const struct arg_option *option;
		const char *name;
		const char *value;
		size_t len;

		if (strcmp(argv[i], "--") == 0)
			return i + 1;
		if (argv[i][0] != '-' || argv[i][1] == '\0')
			return i;
		if (argv[i][1] != '-') {
			strbuf_addf(err, "unknown option %s", argv[i]);
			return -1;
		}
		name = argv[i] + 2;
		len = strcspn(name, "=");
		option = find(options, name, len);
		if (!option) {
			strbuf_addf(err, "unknown option --%.*s", (int)len, name);
			return -1;
		}
		value = name[len] == '=' ? name + len + 1 : NULL;
		if (option->kind == ARG_FLAG && value) {
			strbuf_addf(err, "--%s takes no value", option->name);
			return -1;
		}
		if (option->kind != ARG_FLAG && !value) {
			if (i + 1 == argc) {
				strbuf_addf(err, "--%s needs a value: %s",
					    option->name, option->placeholder);
				return -1;
			}
			value = argv[++i];
		}
		if (!store(option, value, err))
			return -1;
	}
	return i;
}

void args_help(const struct arg_option *options, struct strbuf *out)
{
	for (; options->name; options++) {
		size_t before = out->len;

		strbuf_addf(out, "  --%s", options->name);
		if (options->placeholder)
			strbuf_addf(out, " %s", options->placeholder);
		while (out->len - before < 26)
			strbuf_addc(out, ' ');
		strbuf_addf(out, " %s\n", options->help);
	}
}
