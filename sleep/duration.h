/* Durations as Go's time.ParseDuration reads them. */
#ifndef KIP_DURATION_H
#define KIP_DURATION_H

/* Why a text is no duration; a null pointer says that it is one, then its nanoseconds are stored. */
const char *parse_duration(const char *text, long *nanoseconds);

#endif
