/* What lantern-cli makes of its words, and of an answer. */
#include "cli/request.h"
#include "tests/check.h"

static void check_build(const char *expected, bool ok, size_t n,
			const char *first, const char *second)
{
	char *words[] = {(char *)first, (char *)second};
	struct strbuf out, err;

	strbuf_init(&out);
	strbuf_init(&err);
	CHECK_INT(request_build("m", words, n, &out, &err), ok);
	CHECK_STR(ok ? out.data : err.data, expected);
	strbuf_free(&out);
	strbuf_free(&err);
}

static void check_pretty(const char *text, const char *expected)
{
	struct json *v = json_parse(text, strlen(text), NULL);
	struct strbuf out;

	strbuf_init(&out);
	request_pretty(v, &out);
	CHECK_STR(out.data, expected);
	strbuf_free(&out);
	json_free(v);
}

int main(void)
{
	check_build("{\"id\":1,\"method\":\"m\"}\n", true, 0, NULL, NULL);
	check_build("{\"id\":1,\"method\":\"m\",\"params\":{\"a\":1,\"b\":\"x=y\"}}\n",
		    true, 2, "a=1", "b=x=y");
	check_build("{\"id\":1,\"method\":\"m\",\"params\":{\"a\":[true,null],\"b\":\"\"}}\n",
		    true, 2, "a=[true, null]", "b=");
	check_build("{\"id\":1,\"method\":\"m\",\"params\":{\"a\":{}}}\n", true, 1,
		    "{\"a\": {}}", NULL);
	check_build("expected KEY=VALUE, not 'a'", false, 1, "a", NULL);
	check_build("expected KEY=VALUE, not '=a'", false, 1, "=a", NULL);
	check_build("'a=\xff' is not UTF-8", false, 1, "a=\xff", NULL);
	check_build("the parameters are no JSON: expected a key in quotes, at byte 1",
		    false, 1, "{a}", NULL);

	check_pretty("1", "1\n");
	check_pretty("{}", "{}\n");
	check_pretty("{\"a\":[1,[],{\"b\":\"\\n\"}]}",
		     "{\n  \"a\": [\n    1,\n    [],\n    {\n"
		     "      \"b\": \"\\n\"\n    }\n  ]\n}\n");
	return 0;
}
