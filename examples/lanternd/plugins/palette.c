#include "plugins/palette.h"

#include <stddef.h>

static const struct {
	const char *name;
	uint32_t colour;
} palette[] = {
	{"black", 0x000000},  {"white", 0xffffff},  {"red", 0xff0000},
	{"green", 0x008000},  {"blue", 0x0000ff},   {"yellow", 0xffff00},
	{"orange", 0xffa500}, {"amber", 0xffbf00},  {"warm white", 0xfff4e0},
	{"purple", 0x800080}, {"pink", 0xffc0cb},   {"cyan", 0x00ffff},
	{"grey", 0x808080},   {"brown", 0xa52a2a},  {"lime", 0x00ff00},
};

static int channel(uint32_t colour, unsigned int i)
{
	return (int)(colour >> (8 * i) & 0xff);
}

static int distance(uint32_t a, uint32_t b)
{
	int sum = 0;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		int d = channel(a, i) - channel(b, i);

		sum += d * d;
	}
	return sum;
}

const char *palette_name(uint32_t colour)
{
	size_t best = 0;
	size_t i;

	for (i = 1; i < sizeof(palette) / sizeof(*palette); i++)
		if (distance(colour, palette[i].colour) <
		    distance(colour, palette[best].colour))
			best = i;
	return palette[best].name;
}

uint32_t palette_mix(uint32_t a, uint32_t b, unsigned int share)
{
	uint32_t mixed = 0;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		unsigned int sum = (unsigned int)channel(a, i) * (100 - share) +
				   (unsigned int)channel(b, i) * share;

		mixed |= (sum + 50) / 100 << (8 * i);
	}
	return mixed;
}
