#include "common/colour.h"

#include "common/hex.h"

#include <string.h>

bool colour_parse(const char *text, uint32_t *colour)
{
	uint8_t rgb[3];

	if (text[0] != '#' || !hex_decode(text + 1, strlen(text + 1), rgb, 3))
		return false;
	*colour = (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
	return true;
}

void colour_format(uint32_t colour, char out[COLOUR_TEXT_SIZE])
{
	const uint8_t rgb[3] = {
		(uint8_t)(colour >> 16), (uint8_t)(colour >> 8), (uint8_t)colour,
	};

	out[0] = '#';
	hex_encode(rgb, 3, out + 1);
}
