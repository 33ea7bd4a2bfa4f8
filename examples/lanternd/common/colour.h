/* Colours as "#rrggbb" and as 0xrrggbb. */
#ifndef LANTERN_COMMON_COLOUR_H
#define LANTERN_COMMON_COLOUR_H

#include <stdbool.h>
#include <stdint.h>

#define COLOUR_TEXT_SIZE 8 /* with the NUL */

bool colour_parse(const char *text, uint32_t *colour);
void colour_format(uint32_t colour, char out[COLOUR_TEXT_SIZE]);

#endif
