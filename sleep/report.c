#include "report.h"

#include "system.h"

struct reason {
	long number;
	const char *text;
};

/* What copying into a volume can meet; anything else is told by its number. */
static const struct reason reasons[] = {
	{EPERM, "operation not permitted"},
	{ENOENT, "no such file or directory"},
	{EIO, "input/output error"},
	{EACCES, "permission denied"},
	{EBUSY, "busy"},
	{ENOTDIR, "not a directory"},
	{EISDIR, "is a directory"},
	{ENOSPC, "no space left"},
	{EROFS, "read-only file system"},
	{ENAMETOOLONG, "name too long"},
	{EDQUOT, "quota exceeded"},
};

static unsigned long length_of(const char *text)
{
	unsigned long length = 0;

	while (text[length] != 0)
		length++;
	return length;
}

void write_texts(int file, const char *const *texts)
{
	for (; *texts; texts++)
		system_write(file, *texts, length_of(*texts));
}

/* Write a number of at most four digits, as error numbers are, at the buffer's end; gives its first digit. */
static const char *digits_of(long number, char buffer[5])
{
	char *digit = buffer + 4;

	*digit = 0;
	do {
		*--digit = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0 && digit > buffer);
	return digit;
}

void report_failure(const char *action, const char *path, long result)
{
	char buffer[5];

	for (unsigned long i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].number == -result) {
			print(STDERR, "sleep: ", action, " ", path, ": ", reasons[i].text, "\n");
			return;
		}
	print(STDERR, "sleep: ", action, " ", path, ": error ", digits_of(-result, buffer), "\n");
}
