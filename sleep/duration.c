/*
 * Durations as Go's time.ParseDuration reads them: [-+]?([0-9]*(\.[0-9]*)?[a-z]+)+ or 0.
 *
 * What Go accepts is accepted with the same nanoseconds, what Go refuses is refused, because KIP_IMAGE may be
 * upstream's image, with Go's own sleeper, as well as kip's.
 */
#include "duration.h"

#define LARGEST (1UL << 63)

struct unit {
	const char *name;
	unsigned long nanoseconds;
};

/* The two spellings of the micro sign, U+00B5 and U+03BC, look alike. */
static const struct unit units[] = {
	{"ns", 1UL},
	{"us", 1000UL},
	{"\xc2\xb5s", 1000UL},
	{"\xce\xbcs", 1000UL},
	{"ms", 1000000UL},
	{"s", 1000000000UL},
	{"m", 60UL * 1000000000UL},
	{"h", 3600UL * 1000000000UL},
};

static int is_digit(char c) { return c >= '0' && c <= '9'; }

/* Read leading digits; false when they exceed what a duration can hold. */
static int read_integer(const char **text, unsigned long *value)
{
	*value = 0;
	for (; is_digit(**text); (*text)++) {
		if (*value > LARGEST / 10)
			return 0;
		*value = *value * 10 + (unsigned long)(**text - '0');
		if (*value > LARGEST)
			return 0;
	}
	return 1;
}

/* Read the digits after a point; those beyond what 63 bits hold add nothing and are passed over. */
static unsigned long read_fraction(const char **text, double *scale)
{
	unsigned long value = 0;
	int full = 0;

	*scale = 1;
	for (; is_digit(**text); (*text)++) {
		if (full || value > (LARGEST - 1) / 10) {
			full = 1;
			continue;
		}
		unsigned long longer = value * 10 + (unsigned long)(**text - '0');
		if (longer > LARGEST) {
			full = 1;
			continue;
		}
		value = longer;
		*scale *= 10;
	}
	return value;
}

static int spells(const char *text, unsigned long length, const char *name)
{
	for (unsigned long i = 0; i < length; i++)
		if (name[i] == 0 || name[i] != text[i])
			return 0;
	return name[length] == 0;
}

/* The nanoseconds of the unit at the front of the text, 0 for one that does not exist. */
static unsigned long read_unit(const char **text)
{
	const char *start = *text;

	while (**text != 0 && **text != '.' && !is_digit(**text))
		(*text)++;
	for (unsigned long i = 0; i < sizeof units / sizeof units[0]; i++)
		if (spells(start, (unsigned long)(*text - start), units[i].name))
			return units[i].nanoseconds;
	return 0;
}

/* Read one number with its unit, as the 1.5h of 1.5h10m. */
static const char *read_part(const char **text, unsigned long *nanoseconds)
{
	unsigned long whole, fraction = 0;
	double scale = 1;
	const char *start = *text;
	int digits;

	if (!read_integer(text, &whole))
		return "it is too long";
	digits = *text != start;
	if (**text == '.') {
		const char *point = ++*text;
		fraction = read_fraction(text, &scale);
		digits |= *text != point;
	}
	if (!digits)
		return "a number is missing";
	if (**text == 0 || **text == '.')
		return "a unit is missing";

	unsigned long unit = read_unit(text);
	if (unit == 0)
		return "its unit is unknown";
	if (whole > LARGEST / unit)
		return "it is too long";
	/* In floating point as Go does it, so that the last nanosecond is the same. */
	*nanoseconds = whole * unit + (unsigned long)((double)fraction * ((double)unit / scale));
	return *nanoseconds > LARGEST ? "it is too long" : 0;
}

const char *parse_duration(const char *text, long *nanoseconds)
{
	unsigned long total = 0, part;
	int negative = *text == '-';

	if (*text == '-' || *text == '+')
		text++;
	if (text[0] == '0' && text[1] == 0) {
		*nanoseconds = 0;
		return 0;
	}
	if (*text == 0)
		return "it is empty";
	while (*text != 0) {
		const char *problem = read_part(&text, &part);
		if (problem)
			return problem;
		total += part;
		if (total > LARGEST)
			return "it is too long";
	}
	if (!negative && total == LARGEST)
		return "it is too long";
	*nanoseconds = negative ? (long)(0 - total) : (long)total;
	return 0;
}
