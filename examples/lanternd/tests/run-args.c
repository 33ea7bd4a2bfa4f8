#include "common/args.h"
#include "tests/check.h"

#include <stdarg.h>

static bool flag;
static const char *text;
static uint64_t number;

static const struct arg_option options[] = {
	{"flag", ARG_FLAG, &flag, NULL, "a flag", 0, 0},
	{"text", ARG_STRING, &text, "TEXT", "a text", 0, 0},
	{"number", ARG_NUMBER, &number, "N", "a number", 5, 500},
	{NULL, ARG_FLAG, NULL, NULL, NULL, 0, 0},
};

/* EXPECTED is an index, or -1 and then there is a REASON. */
static void check_parse(int expected, const char *reason, int argc, ...)
{
	char *argv[8] = {(char *)"program"};
	struct strbuf err;
	va_list ap;
	int i;

	va_start(ap, argc);
	for (i = 1; i <= argc; i++)
		argv[i] = va_arg(ap, char *);
	va_end(ap);
	flag = false;
	text = NULL;
	number = 0;
	strbuf_init(&err);
	CHECK_INT(args_parse(argc + 1, argv, options, &err), expected);
	CHECK_STR(err.data, reason);
	strbuf_free(&err);
}

int main(void)
{
	struct strbuf help;

	check_parse(1, "", 0);
	check_parse(4, "", 3, "--flag", "--text=a=b", "--number=5");
	CHECK(flag && number == 5);
	CHECK_STR(text, "a=b");
	check_parse(5, "", 4, "--text", "--flag", "--number", "500");
	CHECK(!flag && number == 500);
	CHECK_STR(text, "--flag");
	check_parse(2, "", 3, "--flag", "word", "--text");
	check_parse(2, "", 2, "--text=", "-");
	CHECK_STR(text, "");
	check_parse(2, "", 2, "--", "--flag");
	CHECK(!flag);
	check_parse(-1, "unknown option --fla", 1, "--fla");
	check_parse(-1, "unknown option --flagg", 1, "--flagg=1");
	check_parse(-1, "unknown option --", 1, "--=1");
	check_parse(-1, "unknown option -f", 1, "-f");
	check_parse(-1, "--flag takes no value", 1, "--flag=1");
	check_parse(-1, "--text needs a value: TEXT", 1, "--text");
	check_parse(-1, "--number: expected a number from 5 to 500, not '4'", 1, "--number=4");
	check_parse(-1, "--number: expected a number from 5 to 500, not '501'", 1, "--number=501");
	check_parse(-1, "--number: expected a number from 5 to 500, not ''", 1, "--number=");
	check_parse(-1, "--number: expected a number from 5 to 500, not '-7'", 1, "--number=-7");
	check_parse(-1, "--number: expected a number from 5 to 500, not '7x'", 1, "--number=7x");
	check_parse(-1, "--number: expected a number from 5 to 500, not '99999999999999999999999'",
		    1, "--number=99999999999999999999999");

	strbuf_init(&help);
	args_help(options, &help);
	CHECK(strstr(help.data, "  --number N"));
	CHECK(strstr(help.data, " a number\n"));
	strbuf_free(&help);
	return 0;
}
