#include "common/json_write.h"
#include "tests/check.h"

int main(void)
{
	struct json_writer w;
	struct strbuf out;

	strbuf_init(&out);
	jsonw_init(&w, &out);
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "s", "a\"b\\c\n\x01");
	jsonw_int(&w, "min", INT64_MIN);
	jsonw_uint(&w, "max", UINT64_MAX);
	jsonw_array_begin(&w, "empty");
	jsonw_array_end(&w);
	jsonw_array_begin(&w, "list");
	jsonw_bool(&w, NULL, true);
	jsonw_object_begin(&w, NULL);
	jsonw_object_end(&w);
	jsonw_null(&w, NULL);
	jsonw_value(&w, NULL, NULL);
	jsonw_array_end(&w);
	jsonw_bool(&w, "k\ty", false);
	jsonw_object_end(&w);
	CHECK_STR(out.data, "{\"s\":\"a\\\"b\\\\c\\n\\u0001\","
		  "\"min\":-9223372036854775808,\"max\":18446744073709551615,"
		  "\"empty\":[],\"list\":[true,{},null,null],\"k\\ty\":false}");

	/* What is not UTF-8 is replaced: the output is JSON in any case. */
	strbuf_reset(&out);
	jsonw_init(&w, &out);
	jsonw_string(&w, NULL, "a\xff" "b\xc3");
	CHECK_STR(out.data, "\"a\xef\xbf\xbd" "b\xef\xbf\xbd\"");
	strbuf_free(&out);
	return 0;
}
