/* Names of colours, and mixing. */
#ifndef LANTERN_PLUGINS_PALETTE_H
#define LANTERN_PLUGINS_PALETTE_H

#include <stdint.h>

/* The nearest of some well-known colours. */
const char *palette_name(uint32_t colour);

/* SHARE percent of B, the rest of A, rounded to nearest. */
uint32_t palette_mix(uint32_t a, uint32_t b, unsigned int share);

#endif
