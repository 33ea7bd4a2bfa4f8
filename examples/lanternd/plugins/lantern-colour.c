/* A plugin: colour-name and colour-mix. */
#include "common/colour.h"
#include "plugins/libplugin.h"
#include "plugins/palette.h"

#include <unistd.h>

static bool get_colour(const struct json *params, const char *key,
		       uint32_t *colour, struct strbuf *err)
{
	const char *text = json_string(json_get(params, key));

	if (text && colour_parse(text, colour))
		return true;
	strbuf_addf(err, "%s: expected \"#rrggbb\"", key);
	return false;
}

static bool colour_name(const struct json *params, struct json_writer *w,
			struct strbuf *err)
{
	uint32_t colour;

	if (!get_colour(params, "colour", &colour, err))
		return false;
	jsonw_string(w, "result", palette_name(colour));
	return true;
}

static bool colour_mix(const struct json *params, struct json_writer *w,
		       struct strbuf *err)
{
	const struct json *share_value = json_get(params, "share");
	char text[COLOUR_TEXT_SIZE];
	int64_t share = 50;
	uint32_t a, b;

	if (!get_colour(params, "a", &a, err) ||
	    !get_colour(params, "b", &b, err))
		return false;
	if (share_value && (!json_int64(share_value, &share) || share < 0 ||
			    share > 100)) {
		strbuf_adds(err, "share: expected a number from 0 to 100");
		return false;
	}
	colour_format(palette_mix(a, b, (unsigned int)share), text);
	jsonw_string(w, "result", text);
	return true;
}

int main(void)
{
	static const struct plugin_method methods[] = {
		{"colour-name", colour_name},
		{"colour-mix", colour_mix},
		{NULL, NULL},
	};
	static const struct plugin_definition definition = {
		"colour", LANTERN_VERSION, methods,
	};

	return plugin_serve(&definition, STDIN_FILENO, STDOUT_FILENO);
}
